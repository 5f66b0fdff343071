//! What a client asks for, as the head of a request says it.

use std::sync::Arc;

use super::audit::Change;
use super::git::GitAsk;
use super::shared::Shared;
use crate::gateway::Asker;
use crate::name::Uuid;
use crate::proto::git::route::{self as git, GitOp};
use crate::proto::http::access::Action;
use crate::proto::http::auth::Credentials;
use crate::proto::http::body::BodyReader;
use crate::proto::http::head::{Head, Method, Version};
use crate::proto::http::route::{Api, Op, Reject, credentials_of, route};

/// What the head of a request said, without its bytes.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) keep: bool,
    /// It waits to be told to send its body.
    pub(super) expect: bool,
    pub(super) body: BodyReader,
    pub(super) range: Option<Vec<u8>>,
    pub(super) api: Api,
    pub(super) client: Option<Uuid>,
    pub(super) bypass: Vec<Uuid>,
    pub(super) user: Option<Vec<u8>>,
    /// What the repository is called, once that is known.
    pub(super) called: Arc<[u8]>,
    /// The User-Agent, where changes are written down.
    pub(super) agent: Option<Vec<u8>>,
}

impl Asked {
    /// Who asks. Versioned calls always name the client.
    pub(super) fn asker(&self) -> Asker {
        let client = self.client.clone().unwrap_or_else(|| Uuid::parse(b"unknown").expect("a word is a uuid"));
        Asker { client, bypass: self.bypass.clone() }
    }
}

/// A request that was understood.
pub(super) struct Call {
    pub(super) asked: Asked,
    pub(super) prefix: Vec<u8>,
    pub(super) what: What,
    pub(super) credentials: Option<Credentials>,
    /// Whom somebody in front names.
    pub(super) named: Option<Vec<u8>>,
}

/// What is to be done.
pub(super) enum What {
    /// Something of git-annex's.
    Annex { uuid: Uuid, op: Op },
    /// Something of git's.
    Git(GitAsk),
}

impl What {
    /// What has to be permitted.
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Annex { op, .. } => op.action(),
            Self::Git(ask) => ask.op.action(),
        }
    }

    /// Which repository, or remote behind one, where that is said.
    pub(super) fn uuid(&self) -> Option<&Uuid> {
        match self {
            Self::Annex { uuid, .. } => Some(uuid),
            Self::Git(_) => None,
        }
    }

    /// What is to be written down of it once it is done; none where it changes nothing. Who asks, and from where, is told by others.
    pub(super) fn change(&self) -> Option<Change> {
        let change = Change { what: self.name(), ..Change::default() };
        match self {
            Self::Git(ask) => (ask.op == GitOp::Pack(git::Service::ReceivePack)).then_some(change),
            Self::Annex { uuid, op } => match op {
                Op::Put { key, .. } | Op::Remove { key } | Op::RemoveBefore { key, .. } | Op::Lock { key } => {
                    Some(Change { uuid: Some(uuid.to_string()), key: Some(key.as_bytes().to_vec()), ..change })
                }
                _ => None,
            },
        }
    }

    /// Its name in logs and metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Annex { op, .. } => name(op),
            Self::Git(ask) => ask.op.name(),
        }
    }
}

/// What a head asks for, of one whom somebody in front names so; or the answer that says why it is nothing that is served here.
pub(super) fn understood(
    head: &Head<'_>,
    shared: &Shared,
    named: Option<Vec<u8>>,
) -> Result<Call, Box<(Asked, Reject)>> {
    let asked = Asked {
        method: head.method,
        version: head.version,
        keep: head.keep_alive,
        expect: head.expect_continue,
        body: BodyReader::new(head.body),
        range: head.range.map(<[u8]>::to_vec),
        api: Api::Unversioned,
        client: None,
        bypass: Vec::new(),
        user: None,
        called: Arc::default(),
        agent: head.user_agent.filter(|_| shared.audit.is_some()).map(<[u8]>::to_vec),
    };
    let not_found = match route(head) {
        Ok(call) => {
            return Ok(Call {
                asked: Asked { api: call.api, client: call.client, bypass: call.bypass, ..asked },
                prefix: call.prefix.to_vec(),
                what: What::Annex { uuid: call.uuid, op: call.op },
                credentials: call.credentials,
                named,
            });
        }
        Err(reject) if reject == Reject::NOT_FOUND && shared.git.is_some() => reject,
        Err(reject) => return Err(Box::new((asked, reject))),
    };
    let found = git::route(head).and_then(|call| call.ok_or(not_found)).and_then(|call| {
        // git-annex 10.20261026 repeats what it reads in a url, where it shows `...` for the password.
        credentials_of(head, call.op == GitOp::Config).map(|credentials| (call, credentials))
    });
    match found {
        Ok((call, credentials)) => Ok(Call {
            asked,
            prefix: call.prefix.to_vec(),
            what: What::Git(GitAsk {
                op: call.op,
                protocol: call.protocol.map(str::to_string),
                gzip: call.gzip,
                host: head.origins.host.map(<[u8]>::to_vec),
                may_remove: false,
            }),
            credentials,
            named,
        }),
        Err(reject) => Err(Box::new((asked, reject))),
    }
}

fn name(op: &Op) -> &'static str {
    match op {
        Op::CheckPresent { .. } => "checkpresent",
        Op::Lock { .. } => "lockcontent",
        Op::KeepLocked { .. } => "keeplocked",
        Op::Remove { .. } | Op::RemoveBefore { .. } => "remove",
        Op::Timestamp => "gettimestamp",
        Op::Put { .. } => "put",
        Op::PutOffset { .. } => "putoffset",
        Op::Get { .. } => "get",
    }
}
