//! The elements of `JUnit` XML, limited to those that all common readers accept.

use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event as Xml};

use crate::failure::Failure;
use crate::report::escape::Untrusted;

/// A suite, without its cases.
#[derive(Default)]
pub(super) struct Suite<'a> {
    pub(super) name: &'a str,
    pub(super) tests: u64,
    pub(super) failures: u64,
    pub(super) errors: u64,
    pub(super) skipped: u64,
    pub(super) time: Option<Duration>,
    pub(super) properties: Vec<(&'static str, String)>,
}

impl Suite<'_> {
    pub(super) fn write<W: Write>(
        &self,
        out: &mut Writer<W>,
        ended: Option<Timestamp>,
        cases: impl FnOnce(&mut Writer<W>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut suite = element(
            "testsuite",
            &[
                ("name", self.name),
                ("tests", &self.tests.to_string()),
                ("failures", &self.failures.to_string()),
                ("errors", &self.errors.to_string()),
                ("skipped", &self.skipped.to_string()),
            ],
        );
        if let Some(time) = self.time {
            suite.push_attribute(("time", &*seconds(time)));
        }
        if let Some(ended) = ended {
            // The schemas allow no fractions of a second.
            let began =
                ended.as_second() - self.time.map_or(0, |time| time.as_secs().cast_signed());
            if let Ok(began) = Timestamp::from_second(began) {
                suite.push_attribute(("timestamp", &*began.to_string()));
            }
        }
        out.write_event(Xml::Start(suite))?;
        if !self.properties.is_empty() {
            out.write_event(Xml::Start(BytesStart::new("properties")))?;
            for (name, value) in &self.properties {
                let property = element("property", &[("name", name), ("value", value)]);
                out.write_event(Xml::Empty(property))?;
            }
            out.write_event(Xml::End(BytesEnd::new("properties")))?;
        }
        cases(out)?;
        out.write_event(Xml::End(BytesEnd::new("testsuite")))
    }
}

/// A test case, without its result.
pub(super) struct Case<'a> {
    pub(super) class: &'a str,
    pub(super) name: &'a str,
    pub(super) time: Option<Duration>,
}

/// The result of a case that did not simply pass.
pub(super) enum Mark<'a> {
    Skipped(&'static str),
    /// The kind, the message, and the full text.
    Failure(&'a str, String, String),
    Error(&'a str, String),
}

impl Mark<'_> {
    pub(super) fn failed(failure: &Failure) -> Self {
        let hint = failure.hint.as_ref().map_or(String::new(), |hint| format!("; {hint}"));
        let text = format!("{}{hint}", failure.message);
        Self::Failure(failure.kind.as_str(), failure.message.clone(), text)
    }

    /// One mark for several failures: readers expect at most one per case.
    pub(super) fn of_all(failures: &[Failure]) -> Option<Self> {
        let first = failures.first()?;
        let messages: Vec<_> = failures.iter().map(|failure| failure.message.as_str()).collect();
        let failure = Failure { message: messages.join("; "), ..first.clone() };
        Some(Self::failed(&failure))
    }

    pub(super) fn found(kind: &'static str, message: &str) -> Self {
        let hint = "`natsync apply --rehash` repairs that";
        Self::Failure(kind, message.to_owned(), format!("{message}; {hint}"))
    }

    pub(super) fn write<W: Write>(&self, out: &mut Writer<W>) -> io::Result<()> {
        let (name, kind, message, text) = match self {
            Self::Skipped(message) => {
                return out.write_event(Xml::Empty(element("skipped", &[("message", message)])));
            }
            Self::Failure(kind, message, text) => ("failure", kind, message, text),
            Self::Error(kind, message) => ("error", kind, message, message),
        };
        let start = element(name, &[("type", kind), ("message", message)]);
        out.write_event(Xml::Start(start))?;
        out.write_event(Xml::Text(BytesText::new(&harmless(text))))?;
        out.write_event(Xml::End(BytesEnd::new(name)))
    }
}

impl Case<'_> {
    pub(super) fn write<W: Write>(
        &self,
        out: &mut Writer<W>,
        marks: &[Mark<'_>],
    ) -> io::Result<()> {
        let mut case = element("testcase", &[("classname", self.class), ("name", self.name)]);
        if let Some(time) = self.time {
            case.push_attribute(("time", &*seconds(time)));
        }
        if marks.is_empty() {
            return out.write_event(Xml::Empty(case));
        }
        out.write_event(Xml::Start(case))?;
        for mark in marks {
            mark.write(out)?;
        }
        out.write_event(Xml::End(BytesEnd::new("testcase")))
    }
}

pub(super) fn element<'a>(name: &'a str, attributes: &[(&str, &str)]) -> BytesStart<'a> {
    let mut element = BytesStart::new(name);
    for (name, value) in attributes {
        element.push_attribute((*name, &*harmless(value)));
    }
    element
}

pub(super) fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// Replaces the characters that XML 1.0 cannot hold, not even as references.
pub(super) fn harmless(text: &str) -> String {
    Untrusted(text).escaped().replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
