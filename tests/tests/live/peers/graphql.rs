//! GraphQL in every way to send it, by the library `strawberry`.

use apisec_engine::ndjson::NdjsonCall;
use apisec_tests::client::curl;
use apisec_tests::script::{PYTHON, Script, npm, pypi};
use apisec_tests::watch::{Watch, mark};

use crate::live::{can_run, tally};

/// Prints of every request its status, and of its operations how many there were, the kind and the root fields of the first, and
/// all errors.
const GRAPH: Script = Script::python(
    "graph.py",
    r#"
import sys
address, port, packages = sys.argv[1:]
sys.path.insert(0, packages)
import strawberry, uvicorn
from strawberry.asgi import GraphQL
from strawberry.extensions import SchemaExtension
from strawberry.file_uploads import Upload
from strawberry.schema.config import StrawberryConfig

@strawberry.type
class User:
    id: int
    name: str
    @strawberry.field
    def friend(self) -> "User": return self

ada = User(id=1, name="Ada")

@strawberry.type
class Query:
    users: list[User] = strawberry.field(resolver=lambda: [ada])
    @strawberry.field
    def user(self, id: int) -> User: return ada
    @strawberry.field
    def broken(self) -> str: raise ValueError("broken on purpose")

@strawberry.type
class Mutation:
    @strawberry.mutation
    def add(self, name: str) -> User: return ada
    @strawberry.mutation
    def upload(self, file: Upload) -> int: return 1

done = []

class Log(SchemaExtension):
    def on_operation(self):
        yield
        context = self.execution_context
        errors = context.result.errors or []
        refused = any(error.path is None for error in errors)
        selections = [] if refused else context.graphql_document.definitions[0].selection_set.selections
        fields = ",".join(sorted(selection.name.value for selection in selections))
        done.append((context.operation_type.value.upper(), fields, len(errors)))

schema = strawberry.Schema(Query, Mutation, extensions=[Log], config=StrawberryConfig(batching_config={"max_operations": 9}))
graph = GraphQL(schema, multipart_uploads_enabled=True)

async def app(scope, receive, send):
    if scope["type"] != "http": return
    done.clear()
    async def watch(message):
        if message["type"] == "http.response.start": app.status = message["status"]
        await send(message)
    await graph(scope, receive, watch)
    kind, fields, _ = done[0]
    print("answered", len(done), app.status, kind, fields, sum(errors for *_, errors in done), flush=True)

uvicorn.run(app, host=address, port=int(port), log_level="critical", ws="none")
"#,
);

/// Apollo's server, which remembers documents by their hash; prints the name of every operation that it has executed.
const APOLLO: Script = Script {
    interpreter: "node",
    name: "apollo.js",
    text: r#"
const [host, port, folder] = process.argv.slice(2);
const { ApolloServer } = require(folder), { startStandaloneServer } = require(folder + "/standalone");
const typeDefs = "type Query { price(item: String!): Int, stock: Int }";
const told = { requestDidStart: async () => ({ executionDidStart: async (context) => console.log("executed", context.operationName) }) };
const server = new ApolloServer({ typeDefs, resolvers: { Query: { price: () => 7, stock: () => 1 } }, plugins: [told] });
startStandaloneServer(server, { listen: { host, port: Number(port) } });
"#,
};

/// As the server prints it.
fn described(call: &NdjsonCall) -> String {
    let batch = if noted(call, "batch") { 3 } else { 1 };
    let fields = if call.operation == "{invalid}" { "" } else { &call.operation };
    let status = call.status.unwrap_or_default();
    format!("{batch} {status} {} {fields} {}", call.method, call.app_status.unwrap_or_default())
}

fn noted(call: &NdjsonCall, note: &str) -> bool {
    call.notes.iter().any(|one| one == note)
}

#[test]
fn every_way_to_ask() {
    if !can_run("peers::graphql::every_way_to_ask", &[PYTHON, "curl"]) {
        return;
    }
    let (mark, packages) = (mark("strawberry"), pypi());
    let server = GRAPH.serve(&[&packages]).unwrap();
    let watch = Watch::calls().unwrap();
    let url = format!("{}{mark}/graphql", server.url());
    for query in [
        r#"{"query":"{ users { id } user(id: 1) { friend { name } } }"}"#,
        r#"{"query":"mutation M($n: String!) { add(name: $n) { id } }","variables":{"n":"x"},"operationName":"M"}"#,
        r#"{"query":"{ broken }"}"#,
        r#"{"query":"{ nonsense }"}"#,
        r#"{"query":"query IntrospectionQuery { __schema { types { name } } }"}"#,
        r#"[{"query":"{ users { id } }"},{"query":"{ user(id: 2) { id } }"},{"query":"{ broken }"}]"#,
    ] {
        curl(&["-H", "content-type: application/json", "-d", query, &url]).unwrap();
    }
    curl(&["--get", "--data-urlencode", "query={ users { name } }", &url]).unwrap();
    let operations = r#"operations={"query":"mutation($file: Upload!) { upload(file: $file) }","variables":{"file":null}}"#;
    curl(&["-F", operations, "-F", r#"map={"0":["variables.file"]}"#, "-F", "0=hello;filename=a.txt", &url])
        .unwrap();
    let logged = server.printed("answered ", 8).unwrap();
    let calls = watch.end_with_calls(&mark).unwrap();
    assert_eq!(tally(calls.iter().map(described)), tally(logged));
    assert!(calls.iter().all(|call| call.protocol == "graphql"), "{calls:#?}");
    assert_eq!(calls.iter().filter(|call| call.failed).count(), 3);
    assert_eq!(calls.iter().filter(|call| noted(call, "introspection")).count(), 1);
}

/// A hash that is not known, a document with its hash, and the hash alone in both ways to send it.
#[test]
fn documents_by_their_hash() {
    if !can_run("peers::graphql::documents_by_their_hash", &["node", "curl"]) {
        return;
    }
    let mark = mark("apollo");
    let server = APOLLO.serve(&[&npm("@apollo/server").display().to_string()]).unwrap();
    let watch = Watch::calls().unwrap();
    let url = format!("{}{mark}", server.url());
    // SHA-256 of the document.
    let hash = "6f23a1daae23156ec8083a4798246c539db9399209f23e4984e9d1bf8058af67";
    let persisted = format!(r#"{{"persistedQuery":{{"version":1,"sha256Hash":"{hash}"}}}}"#);
    let extensions = format!(r#""extensions":{persisted}"#);
    let alone = format!(r#"{{"operationName":"Price",{extensions}}}"#);
    let both = format!(
        r#"{{"operationName":"Price","query":"query Price {{ price(item: \"hat\") }}",{extensions}}}"#
    );
    for body in [&alone, &both, &alone, &alone] {
        curl(&["-H", "content-type: application/json", "-d", body, &url]).unwrap();
    }
    let asked = format!("extensions={persisted}");
    let ask = [
        "-G",
        "-H",
        "apollo-require-preflight: 1",
        "--data-urlencode",
        &asked,
        "-d",
        "operationName=Price",
        &url,
    ];
    curl(&ask).unwrap();
    assert_eq!(server.printed("executed Price", 4).unwrap().len(), 4);
    let calls = watch.end_with_calls(&mark).unwrap();
    assert!(calls.iter().all(|call| call.protocol == "graphql" && call.status == Some(200)), "{calls:#?}");
    let seen = tally(calls.iter().map(|call| {
        format!("{} {} {} {}", call.method, call.operation, call.failed, noted(call, "persisted"))
    }));
    let said = [
        ("POST {invalid} true true", 1),
        ("QUERY price false false", 1),
        ("POST Price false true", 2),
        ("GET Price false true", 1),
    ];
    assert_eq!(seen, said.into_iter().map(|(call, times)| (call.to_owned(), times)).collect());
}
