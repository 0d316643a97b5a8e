# An image with nothing in it but natsync and the certificates that servers are known by.
#
#   docker build -t natsync .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" natsync apply natsync.yaml

FROM rust:1.95-alpine AS build
# A C compiler, for SQLite and the TLS library.
RUN apk add --no-cache build-base ca-certificates
WORKDIR /src
COPY . .
# Alpine's Rust links everything in: what comes out needs no library of the system.
RUN cargo build --release --locked --bin natsync \
    && cp target/release/natsync /natsync

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /natsync /usr/local/bin/natsync
WORKDIR /work
# Nobody in particular: `--user` names whose files the mirror's are to be.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/natsync"]
CMD ["--help"]
