//! A request through the SDK whose payload is sent as it comes.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::operation::upload_part::builders::UploadPartFluentBuilder;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::s3::{Inner, client, errors, sdk_body};
use crate::{Error, Kind, Op, Result};

/// A request under way. Dropping it closes the connection short of the announced length.
pub(super) struct SdkUpload {
    blocks: mpsc::Sender<io::Result<Bytes>>,
    /// The one task that waits for the answer.
    answer: JoinSet<Result<Option<String>>>,
    idle: Duration,
}

impl SdkUpload {
    pub(super) fn object(inner: &Rc<Inner>, request: PutObjectFluentBuilder, len: u64) -> Self {
        let (blocks, body, through) = sdk_body::from_channel(len);
        let len = i64::try_from(len).unwrap_or(i64::MAX);
        let request = request.content_length(len).body(body).customize().config_override(client::patient());
        Self::start(inner, blocks, async move {
            let answer = request.send().await.map_err(|e| errors::from_sdk(Op::Put, &e))?;
            through.check()?;
            Ok(answer.e_tag().map(str::to_string))
        })
    }

    pub(super) fn part(inner: &Rc<Inner>, request: UploadPartFluentBuilder, len: u64) -> Self {
        let (blocks, body, through) = sdk_body::from_channel(len);
        let len = i64::try_from(len).unwrap_or(i64::MAX);
        let request = request.content_length(len).body(body).customize().config_override(client::patient());
        Self::start(inner, blocks, async move {
            let answer = request.send().await.map_err(|e| errors::from_sdk(Op::Put, &e))?;
            through.check()?;
            Ok(answer.e_tag().map(str::to_string))
        })
    }

    fn start(
        inner: &Rc<Inner>,
        blocks: mpsc::Sender<io::Result<Bytes>>,
        request: impl Future<Output = Result<Option<String>>> + 'static,
    ) -> Self {
        let mut answer = JoinSet::new();
        answer.spawn_local(request);
        Self { blocks, answer, idle: inner.context.idle }
    }

    pub(super) async fn write(&mut self, block: Bytes) -> Result<()> {
        tokio::select! {
            biased;
            sent = tokio::time::timeout(self.idle, self.blocks.send(Ok(block))) => match sent {
                Ok(Ok(())) => Ok(()),
                // The request has let go of its payload: it is over.
                Ok(Err(_)) => Err(self.refusal().await),
                Err(_) => Err(Error::new(Op::Put, Kind::Timeout, format!("nothing moved for {:.1} s", self.idle.as_secs_f64()))),
            },
            done = self.answer.join_next() => Err(refused(done)),
        }
    }

    pub(super) async fn finish(mut self) -> Result<Option<String>> {
        drop(self.blocks);
        match tokio::time::timeout(self.idle, self.answer.join_next()).await {
            Ok(Some(Ok(answer))) => answer,
            Ok(_) => Err(died()),
            Err(_) => {
                Err(Error::new(Op::Put, Kind::Timeout, format!("no answer for {:.1} s", self.idle.as_secs_f64())))
            }
        }
    }

    async fn refusal(&mut self) -> Error {
        match tokio::time::timeout(self.idle, self.answer.join_next()).await {
            Ok(done) => refused(done),
            Err(_) => Error::new(Op::Put, Kind::Timeout, "the request ended without an answer"),
        }
    }
}

fn refused(done: Option<std::result::Result<Result<Option<String>>, tokio::task::JoinError>>) -> Error {
    match done {
        Some(Ok(Err(e))) => e,
        Some(Ok(Ok(_))) => {
            Error::new(Op::Put, Kind::Protocol, "the server reported success before everything was sent")
        }
        _ => died(),
    }
}

fn died() -> Error {
    Error::new(Op::Put, Kind::Other, "the request's task died")
}
