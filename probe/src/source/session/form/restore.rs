//! Records that were read, made calls and workloads again, with the bounds that these promise:
//! a file may hold anything.

use super::{CallForm, MoreForm, ProofForm, WorkloadForm};
use apisec_proto::call::{
    Call, Clues, Detail, IdentityHash, Messages, Notes, Party, ShownField, Tls, Workload,
};
use compact_str::CompactString;
use std::sync::Arc;

/// Longest text without a documented bound of its own: host names, media types, paths of programs.
const MAX_TEXT: usize = 1024;
const MAX_METHOD: usize = 24;
const MAX_OPERATION: usize = 128;
const MAX_PATH: usize = 512;
const MAX_QUERY: usize = 16;
const MAX_HOSTS: usize = 4;
const MAX_COMMAND: usize = 256;
const MAX_FIELDS: usize = 256;
const MAX_FIELD_NAME: usize = 64;
const MAX_FIELD_VALUE: usize = 256;

/// The workload of a record.
pub(crate) fn workload_of(form: &WorkloadForm<'_>) -> Workload {
    Workload {
        id: clip(form.id, MAX_TEXT),
        name: clip(form.name, MAX_TEXT),
        kind: form.kind,
        pid: form.pid,
        exe: clip(form.exe, MAX_TEXT),
        command: clip(form.command, MAX_COMMAND),
        user: clip(form.user, MAX_TEXT),
        unit: clip(form.unit, MAX_TEXT),
        container: clip(form.container, MAX_TEXT),
        runtime: clip(form.runtime, MAX_TEXT),
        pod_uid: clip(form.pod_uid, MAX_TEXT),
        netns: form.netns,
        address: clip(form.address, MAX_TEXT),
        owner: CompactString::default(),
    }
}

/// The call of a record between these parties.
pub(crate) fn call_of(form: CallForm<'_, Vec<&str>, Vec<(&str, &str)>>, src: Party, dst: Party) -> Call {
    Call {
        at: form.at,
        src,
        dst,
        src_addr: form.src_addr,
        dst_addr: form.dst_addr,
        vantage: form.vantage,
        protocol: form.protocol,
        method: clip(form.method, MAX_METHOD),
        operation: CompactString::default(),
        path: clip(form.path, MAX_PATH),
        query: form.query.iter().take(MAX_QUERY).map(|name| clip(name, MAX_TEXT)).collect(),
        host: clip(form.host, MAX_TEXT),
        status: form.status,
        ttfb: form.ttfb,
        duration: form.duration,
        request_bytes: form.request_bytes,
        response_bytes: form.response_bytes,
        request_body: form.request_body,
        response_body: form.response_body,
        auth: form.auth,
        identity: form.identity.map(IdentityHash),
        request_type: clip(form.request_type, MAX_TEXT),
        response_type: clip(form.response_type, MAX_TEXT),
        trace: form.trace,
        messages: [Messages::default(); 2],
        app_status: None,
        failed: false,
        notes: Notes(form.notes),
        bodies: None,
        graphql: None,
        clues: None,
        credential: None,
        objects: Default::default(),
        tls: None,
        detail: form.detail.map(|(request, response)| {
            Box::new(Detail { request_fields: fields(&request), response_fields: fields(&response) })
        }),
    }
}

/// Gives a call what version 1 had no place for.
pub(crate) fn complete(call: &mut Call, more: MoreForm<'_>) {
    call.operation = clip(more.operation, MAX_OPERATION);
    call.messages = more.messages.map(|(count, bytes, largest)| Messages { count, bytes, largest });
    (call.app_status, call.failed) = (more.app_status, more.failed);
    call.bodies = more.bodies.map(|bodies| Box::new(bodies.restored()));
    call.graphql = more.graphql.map(Box::new);
    call.tls = more.tls.map(|form| {
        Arc::new(Tls {
            version: clip(form.version, MAX_TEXT),
            alpn: clip(form.alpn, MAX_TEXT),
            sni: clip(form.sni, MAX_TEXT),
            subject: clip(form.subject, MAX_TEXT),
            library: clip(form.library, MAX_TEXT),
            // A note of the call says it.
            resumed: false,
            mutual: None,
        })
    });
}

/// Gives a call what detectors need, within its bounds.
pub(crate) fn prove(call: &mut Call, proof: ProofForm<'_>) {
    call.clues = proof.clues.map(|clues| Box::new(bounded(clues.into_owned())));
    call.credential = proof.credential.map(|credential| Arc::new(credential.into_owned().bounded()));
    call.objects = proof.objects.into_owned().bounded();
}

/// What is joined with other calls, within its bounds.
fn bounded(mut clues: Clues) -> Clues {
    clues.hosts.truncate(MAX_HOSTS);
    clues.hosts.iter_mut().for_each(|host| *host = clip(host, MAX_TEXT));
    clues
}

fn fields(form: &[(&str, &str)]) -> Vec<ShownField> {
    let field = |(name, value): &(&str, &str)| ShownField {
        name: clip(name, MAX_FIELD_NAME),
        value: clip(value, MAX_FIELD_VALUE),
    };
    form.iter().take(MAX_FIELDS).map(field).collect()
}

/// At most `max` bytes of `text`, whole characters.
fn clip(text: &str, max: usize) -> CompactString {
    CompactString::new(text.get(..text.floor_char_boundary(max)).unwrap_or_default())
}
