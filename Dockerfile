# An image with only natsync and the root certificates for TLS.
#
#   docker build -t natsync .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" natsync apply natsync.yaml

FROM rust:1.95-alpine AS build
# SQLite and the TLS library require a C compiler.
RUN apk add --no-cache build-base ca-certificates
WORKDIR /src
COPY . .
# Alpine's Rust links statically, so the program runs without system libraries.
RUN cargo build --release --locked --bin natsync \
    && cp target/release/natsync /natsync

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /natsync /usr/local/bin/natsync
WORKDIR /work
# An unprivileged user; `--user` sets the owner of the mirrored files.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/natsync"]
CMD ["--help"]
