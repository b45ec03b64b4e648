//! An answer's body on its way through the proxy: counted, paced, and broken
//! where a fault says so.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use super::{
    exchange::{End, Recording},
    fault::Fault,
    rate::Pacer,
};

type Error = Box<dyn std::error::Error + Send + Sync>;

pub struct Watched {
    inner: Either<Incoming, Full<Bytes>>,
    recording: Recording,
    pacer: Option<Pacer>,
    fault: Option<Fault>,
    cut_is_due: bool,
    /// What has arrived from the registry and is not yet sent on.
    held: Bytes,
    /// What is still to be sent, where the answer said how long it is.
    remaining: Option<u64>,
}

impl Watched {
    pub fn new(
        inner: Either<Incoming, Full<Bytes>>,
        mut recording: Recording,
        pacer: Option<Pacer>,
        fault: Option<Fault>,
    ) -> Self {
        if inner.is_end_stream() {
            recording.end(End::Complete);
        }
        Self {
            remaining: inner.size_hint().exact(),
            inner,
            recording,
            pacer,
            fault,
            cut_is_due: false,
            held: Bytes::new(),
        }
    }

    /// Fills `held` with the next data of the registry's answer; false at its
    /// end. Trailers are dropped: the registry's API has none.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        while self.held.is_empty() {
            if self.fault == Some(Fault::CutAfter(0)) {
                return self.poll_cut(context);
            }
            match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
                None => return Poll::Ready(Ok(false)),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                Some(Ok(frame)) => self.held = frame.into_data().unwrap_or_default(),
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Breaks off, after the connection had its chance to write what it has: an
    /// error throws its buffer away.
    fn poll_cut(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        if std::mem::replace(&mut self.cut_is_due, true) {
            return Poll::Ready(Err("cut short by a fault".into()));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Applies a fault to what is held.
    fn spoil(&mut self) {
        match &mut self.fault {
            Some(Fault::Corrupt) => {
                let mut bytes = self.held.to_vec();
                bytes[0] ^= 1;
                self.held = bytes.into();
                self.fault = None;
            }
            Some(Fault::CutAfter(left)) => {
                let keep = (*left).min(self.held.len() as u64);
                self.held.truncate(keep as usize);
                *left -= keep;
            }
            _ => {}
        }
    }

    /// The next piece to send: what is held, or as much as the rate admits.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        let Some(pacer) = &mut self.pacer else {
            return Poll::Ready(std::mem::take(&mut self.held));
        };
        let admitted = ready!(pacer.poll_admit(context, self.held.len() as u64));
        Poll::Ready(self.held.split_to(admitted as usize))
    }

    fn record(&mut self, piece: &Bytes) {
        let bytes = piece.len() as u64;
        self.recording.sent(bytes);
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(bytes);
            if *remaining == 0 {
                self.recording.end(End::Complete);
            }
        }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if this.held.is_empty() {
            match ready!(this.poll_fill(context)) {
                Ok(true) => this.spoil(),
                Ok(false) => {
                    this.recording.end(End::Complete);
                    return Poll::Ready(None);
                }
                Err(error) => {
                    this.recording.end(End::Broken(error.to_string()));
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        let piece = ready!(this.poll_piece(context));
        this.record(&piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        // A body that is to be cut must be asked for more, to be cut.
        let cut = matches!(self.fault, Some(Fault::CutAfter(_)));
        !cut && self.held.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.remaining {
            Some(remaining) => SizeHint::with_exact(remaining),
            None => SizeHint::default(),
        }
    }
}
