//! Where a request stands in its caller's trace (W3C Trace Context).
//!
//! Not a tracer: the two ids go on record, so that a call is found from either side. Nothing is passed on to
//! commands, and `tracestate`, which is for tracers, is not read.

use http::HeaderMap;

/// The trace, and the operation in it that the request came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    pub trace_id: String,
    pub parent_id: String,
}

impl Trace {
    /// Reads the header `traceparent`. One that is not valid, or that is there twice, is ignored, as the standard
    /// wants it.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all("traceparent").iter();
        let value = values.next()?.to_str().ok()?;
        if values.next().is_some() { None } else { Self::parse(value) }
    }

    /// `00-TRACE-PARENT-FLAGS`. A later version may have more behind it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.splitn(5, '-');
        let mut field = |digits| fields.next().filter(|field| is_hex(field, digits));
        let version = field(2).filter(|version| *version != "ff")?;
        let trace_id = field(32).filter(|id| has_meaning(id))?.to_owned();
        let parent_id = field(16).filter(|id| has_meaning(id))?.to_owned();
        field(2)?;
        (version != "00" || fields.next().is_none()).then_some(Self { trace_id, parent_id })
    }
}

fn is_hex(field: &str, digits: usize) -> bool {
    field.len() == digits && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn has_meaning(id: &str) -> bool {
    id.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    #[test]
    fn both_ids_are_read_from_this_version_and_from_later_ones() {
        let trace = Some(Trace { trace_id: TRACE.to_owned(), parent_id: PARENT.to_owned() });
        for text in ["00-T-P-01", "00-T-P-00", "cc-T-P-01", "cc-T-P-01-what-the-future-will-be-like"] {
            assert_eq!(Trace::parse(&text.replace('T', TRACE).replace('P', PARENT)), trace, "{text}");
        }
    }

    #[test]
    fn what_is_not_valid_is_ignored() {
        for text in [
            "",
            "00-T-P",
            "00-T-P-1",
            "00-T-P-01-",
            "00-T-P-01-more",
            "cc-T-P-01x",
            "ff-T-P-01",
            "0-T-P-01",
            " 00-T-P-01",
            "00-00000000000000000000000000000000-P-01",
            "00-T-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-P-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473\n-P-01",
            "00-P-T-01",
        ] {
            assert_eq!(Trace::parse(&text.replace('T', TRACE).replace('P', PARENT)), None, "{text}");
        }
    }

    #[test]
    fn a_header_that_is_there_twice_says_nothing() {
        let value = format!("00-{TRACE}-{PARENT}-01");
        let mut headers = HeaderMap::new();
        headers.append("traceparent", value.parse().unwrap());
        assert!(Trace::of(&headers).is_some());
        headers.append("traceparent", value.parse().unwrap());
        assert_eq!(Trace::of(&headers), None);
    }
}
