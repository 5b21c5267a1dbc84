//! Answers are of the form that the document tells of, and have no field that it does not tell of.

use std::collections::HashSet;

use axum::body::Body;
use axum::http::Method;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::Bench;

/// What has names of the user's own, and what questions are made of.
const FREE: [&str; 6] = ["properties", "traits", "first_touch", "last_touch", "question", "segment"];

/// What is asked without a key, or with one in the address.
const KEYLESS: [&str; 4] = ["/health/live", "/health/ready", "/v1/pixel/{kind}", "/v1/projects/{key}/settings"];

struct Document {
    document: Value,
    /// All that a field of an answer may be called.
    names: HashSet<String>,
}

impl Document {
    async fn of(bench: &Bench) -> Self {
        let document = bench.call(Method::GET, "/openapi.json", "", &[], Body::empty()).await.with(200);
        let mut names = HashSet::new();
        collect(&document["components"]["schemas"], &mut names);
        Self { document, names }
    }

    fn validator(&self, method: &str, path: &str, status: &str) -> Validator {
        let answer = &self.document["paths"][path][method]["responses"][status]["content"];
        let forms = answer.as_object().unwrap_or_else(|| panic!("{method} {path} {status} is not told of"));
        self.compiled(&forms.values().next().unwrap()["schema"])
    }

    fn compiled(&self, schema: &Value) -> Validator {
        let components = self.document["components"].clone();
        let schema = json!({ "allOf": [schema], "components": components });
        jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
    }

    #[track_caller]
    fn check(&self, validator: &Validator, of: &str, answer: &Value) {
        let errors: Vec<String> =
            validator.iter_errors(answer).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{of}: {errors:#?}\n{answer}");
        self.check_names(of, answer);
    }

    fn check_names(&self, of: &str, answer: &Value) {
        match answer {
            Value::Object(fields) => {
                for (name, field) in fields {
                    assert!(self.names.contains(name), "{of}: the document does not tell of {name}: {field}");
                    if !FREE.contains(&name.as_str()) {
                        self.check_names(of, field);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.check_names(of, item)),
            _ => {}
        }
    }
}

/// The names of all properties in a schema.
fn collect(schema: &Value, names: &mut HashSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                names.extend(properties.keys().cloned());
            }
            fields.values().for_each(|field| collect(field, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}

async fn shop() -> Bench {
    let bench = Bench::new();
    let event = |name: &str, who: &str, day: u32, country: &str| {
        json!({"event": name, "distinct_id": who, "message_id": format!("{name}-{who}-{day}"), "timestamp": format!("2025-01-{day:02}T10:00:00Z"),
            "properties": {"country": country, "amount": f64::from(day) / 2.0, "url": format!("/{name}"), "utm_source": "x"}})
    };
    let mut events = vec![
        json!({"type": "identify", "anonymous_id": "a1", "user_id": "ann"}),
        json!({"type": "identify", "anonymous_id": "a1", "user_id": "bob"}),
        json!({"type": "set", "distinct_id": "ann", "traits": {"email": "Ann@x.org", "tags": ["a", "b"], "plan": "pro"}}),
    ];
    for (who, country) in [("a1", "DE"), ("ann", "US"), ("bob", "FR"), ("cid", "JP")] {
        for day in 1..6 {
            events.extend(["view", "cart", "buy"].map(|name| event(name, who, day, country)));
        }
    }
    bench.track(&Value::Array(events)).await;
    bench
}

/// One of every analysis, with what changes the form of its answer.
fn questions() -> Vec<Value> {
    let range = json!({"from": "2025-01-01", "to": "2025-01-08"});
    let steps = json!([{"event": "view"}, {"event": "cart", "optional": true}, {"event": "buy"}]);
    let country = json!([{"property": "country"}]);
    let trend = |series: Value| json!({"series": series, "interval": "day", "range": range});
    let with = |mut question: Value, more: Value| {
        let Value::Object(more) = more else { unreachable!() };
        question.as_object_mut().unwrap().extend(more);
        question
    };
    let views = trend(json!([{"event": "view"}, {"event": "buy", "measure": "sum", "property": "amount"}]));
    let funnel = json!({"steps": steps, "window": "7d", "range": range});
    let retention = json!({"start": {"event": "view"}, "return": {"event": "buy"}, "interval": "day", "periods": 3, "range": range});
    let segments = json!([{"did": {"event": "buy"}, "name": "buyers"}, {"did_not": {"event": "buy"}}]);
    let measures = ["count", "uniques", "count_per_user", "first_time"]
        .map(|measure| json!({"event": "view", "measure": measure}));
    let of_amount = ["avg", "min", "median", "p90", "distinct"]
        .map(|measure| json!({"event": "none", "measure": measure, "property": "amount"}));
    vec![
        json!({"trend": views, "explain": true}),
        json!({"trend": with(views.clone(), json!({"breakdown": country, "limit": 2}))}),
        json!({"trend": with(views.clone(), json!({"compare": "previous"}))}),
        json!({"trend": with(views.clone(), json!({"segment": segments}))}),
        json!({"trend": trend(Value::from(measures.to_vec()))}),
        json!({"trend": trend(Value::from(of_amount.to_vec()))}),
        json!({"trend": {"series": [{"event": "view", "measure": "frequency"}], "range": range}}),
        json!({"trend": with(trend(json!([{"event": "view"}, {"event": "buy"}])), json!({"formula": "A / B"}))}),
        json!({"funnel": funnel}),
        json!({"funnel": with(funnel.clone(), json!({"breakdown": country, "limit": 2, "rows": true, "trend": "week"}))}),
        json!({"funnel": with(funnel.clone(), json!({"people": {"step": 3, "outcome": "dropped"}}))}),
        json!({"retention": retention}),
        json!({"retention": with(retention.clone(), json!({"breakdown": country, "limit": 1}))}),
        json!({"retention": with(retention.clone(), json!({"measure": "sum", "property": "amount"}))}),
        json!({"stickiness": {"event": {"event": "view"}, "interval": "day", "range": range}}),
        json!({"lifecycle": {"event": {"event": "view"}, "interval": "day", "range": range}}),
        json!({"journey": {"distinct_id": "ann", "limit": 3}}),
        json!({"journey": {"distinct_id": "nobody"}}),
        json!({"sessions": {"gap": "30m", "rows": true, "interval": "day", "touch": ["utm_source"], "range": range}}),
        json!({"sessions": {"range": {"from": "2020-01-01", "to": "2020-01-02"}}}),
        json!({"paths": {"anchor": {"event": "buy"}, "range": range}}),
        json!({"paths": {"anchor": {"event": "view"}, "depth": 3, "limit": 1, "range": range}}),
        json!({"segment": {"did": {"event": "buy"}}}),
        json!({"segment": {"did": {"event": "buy"}, "people": true}}),
        json!({"people": {"sort": "events", "limit": 1, "traits": ["plan"], "touch": ["utm_source"]}}),
        json!({"people": {"search": {"text": "ann"}}}),
        json!({"people": {"search": {"text": "x.org", "trait": "email"}}}),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_form_that_the_document_tells_of() {
    let bench = shop().await;
    let document = Document::of(&bench).await;
    let (question, answered) = (
        document.compiled(&json!({"$ref": "#/components/schemas/Query"})),
        document.validator("post", "/v1/query", "200"),
    );
    for asked in questions() {
        assert!(question.is_valid(&asked), "{asked}");
        let answer = bench.post("/v1/query", &bench.read, asked.to_string()).await.with(200);
        document.check(&answered, &asked.to_string(), &answer);
    }
    let saved = json!({"question": questions()[0], "description": "views"});
    let path = "/v1/saved/views";
    let done = bench.call(Method::PUT, path, &bench.admin, &[], saved.to_string()).await.with(200);
    document.check(&document.validator("put", "/v1/saved/{name}", "200"), path, &done);
    let segment = json!({"segment": {"did": {"event": "buy"}}});
    bench.call(Method::PUT, "/v1/saved/buyers", &bench.admin, &[], segment.to_string()).await.with(200);
    bench.call(Method::PUT, "/v1/saved/alias", &bench.admin, &[], r#"{"segment": "buyers"}"#).await.with(200);
    bench.get("/v1/saved/nothing/answer").await.with(404);
    for (path, of) in [
        ("/v1/saved/alias", "/v1/saved/{name}"),
        ("/v1/events/count", "/v1/events/count"),
        ("/v1/events/by-day?event=view", "/v1/events/by-day"),
        ("/v1/persons?limit=2", "/v1/persons"),
        ("/v1/persons/search?q=ann", "/v1/persons/search"),
        ("/v1/persons/a1", "/v1/persons/{id}"),
        ("/v1/persons/a1/journey?limit=2", "/v1/persons/{id}/journey"),
        ("/v1/saved/buyers", "/v1/saved/{name}"),
        ("/v1/saved/views/answer", "/v1/saved/{name}/answer"),
        ("/v1/stats", "/v1/stats"),
        ("/v1/registry/events", "/v1/registry/events"),
        ("/v1/registry/properties", "/v1/registry/properties"),
    ] {
        document.check(&document.validator("get", of, "200"), path, &bench.get(path).await.with(200));
    }
    let rows = bench.get("/v1/events/recent?limit=2").await.with(200);
    assert!(document.validator("get", "/v1/events/recent", "200").is_valid(&rows), "{rows}");
    let listed = bench.get("/v1/saved").await.with(200);
    assert!(document.validator("get", "/v1/saved", "200").is_valid(&listed), "{listed}");
    let split = bench.post("/v1/persons/ann/split", &bench.admin, "{}").await.with(200);
    document.check(&document.validator("post", "/v1/persons/{id}/split", "200"), "split", &split);
    let known = bench.get("/v1/persons/ann").await.with(200);
    document.check(&document.validator("get", "/v1/persons/{id}", "200"), "after a split", &known);
    let erased = bench.post("/v1/persons/cid/erase", &bench.admin, "").await.with(200);
    document.check(&document.validator("post", "/v1/persons/{id}/erase", "200"), "erase", &erased);
    let nobody = bench.get("/v1/persons/cid").await.with(404);
    document.check(&document.validator("get", "/v1/persons/{id}", "404"), "nobody", &nobody);
    let sent = json!([{"event": "view", "distinct_id": "d"}, {"event": "view"}, {"event": " ", "distinct_id": "d"}]);
    let outcomes = bench.post("/v1/events", &bench.write, sent.to_string()).await.with(202);
    document.check(&document.validator("post", "/v1/events", "202"), "outcomes", &outcomes);
    let sent = json!({"batch": [{"type": "track", "event": "x", "userId": "u"}, {"type": "track", "userId": "u"}]});
    let taken = bench.post("/v1/batch", &bench.write, sent.to_string()).await.with(200);
    document.check(&document.validator("post", "/v1/batch", "200"), "messages", &taken);
    bench.server.close().await;
}

/// What programs that make clients of it want.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_one_that_clients_are_made_of() {
    let bench = Bench::new();
    let document = Document::of(&bench).await.document;
    let mut ids = HashSet::new();
    let paths = document["paths"].as_object().unwrap().iter();
    for (path, method, operation) in
        paths.flat_map(|(path, of)| of.as_object().unwrap().iter().map(move |(method, of)| (path, method, of)))
    {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no id"));
        assert!(ids.insert(id.to_owned()), "{id} is the id of two");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path} {status}");
            assert!(response["headers"]["X-Request-Id"].is_object(), "{method} {path} {status}");
            assert_eq!(response["headers"]["Retry-After"].is_object(), ["429", "503"].contains(&status.as_str()));
        }
        assert_eq!(operation["security"] == json!([]), KEYLESS.contains(&path.as_str()), "{method} {path}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["schema"]["type"].is_string(), "{method} {path}: {parameter}");
        }
    }
    let text = document.to_string();
    for word in ["](", "[`", "`None`", "serialises", "u-int"] {
        assert!(!text.contains(word), "{word}: {}", &text[text.find(word).unwrap().saturating_sub(80)..][..160]);
    }
    // What may be left out of an answer is never null, and what may be null is never left out.
    let said_of_answers =
        ["Header", "TrendResult", "FunnelGroup", "StepResult", "PersonRow", "PathEdge", "Key", "Outcome", "SessionRow"];
    for name in said_of_answers {
        let schema = &document["components"]["schemas"][name];
        let parts = schema["allOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
        for part in parts.iter().filter(|part| part["properties"].is_object()) {
            let required: Vec<&str> =
                part["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for (field, of) in part["properties"].as_object().unwrap() {
                let is_nullable = of["type"].as_array().is_some_and(|types| types.contains(&json!("null")))
                    || of["oneOf"].as_array().is_some_and(|either| either.contains(&json!({"type": "null"})));
                assert!(!is_nullable || required.contains(&field.as_str()), "{name}.{field}: {of}");
            }
        }
    }
    bench.server.close().await;
}

/// Each of these is taken, or not, as the document says.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_events_have_the_form_that_the_document_tells_of() {
    let bench = Bench::new();
    let document = Document::of(&bench).await;
    let entries = document.compiled(&json!({"$ref": "#/components/schemas/EventsBody"}));
    for (entry, is_taken) in [
        (json!({"event": "view", "distinct_id": "ann"}), true),
        (json!({"event": "view", "distinct_id": 7, "timestamp": 1_735_689_600, "key": 9, "session_id": null}), true),
        (json!({"event": "view", "distinct_id": "ann", "timestamp": "2025-01-01", "more": [1, {"a": null}]}), true),
        (
            json!({"event": "view", "distinct_id": "ann", "type": "set", "context": {"ip": "::1"}, "properties": {}}),
            true,
        ),
        (json!({"type": "identify", "anonymous_id": "a1", "user_id": "ann"}), true),
        (json!({"type": "alias", "id": "a2", "to": "ann", "force": false}), true),
        (json!({"type": "merge", "ids": ["a", "b"], "why": "one"}), true),
        (json!({"type": "split_link", "ids": ["a", "b"], "by": "me"}), true),
        (json!({"type": "split", "id": "a"}), true),
        (json!({"type": "set", "distinct_id": "ann", "traits": {"plan": "pro"}, "timestamp": 1_735_689_600}), true),
        (json!({"type": "unset", "distinct_id": "ann", "traits": ["plan"]}), true),
        (json!({"type": "add", "distinct_id": "ann", "traits": {"visits": 1}, "message_id": "m-1"}), true),
        (json!({"type": "group", "group": "company", "id": "acme", "traits": {"plan": "pro"}, "unset": ["x"]}), true),
        (json!({"type": "group", "group": "company", "id": "acme", "traits": null, "unset": ["x"]}), false),
        (json!({"type": "group", "group": "", "id": "acme", "unset": ["x"]}), false),
        (json!({"type": "merge", "ids": ["a"]}), false),
        (json!({"type": "unset", "distinct_id": "ann", "traits": []}), false),
        (json!({"event": " ", "distinct_id": "ann"}), false),
        (json!({"distinct_id": "ann"}), false),
        (json!({"event": "view", "distinct_id": ["ann"]}), false),
        (json!({"event": "view", "distinct_id": "ann", "properties": 1}), false),
        (json!({"type": "identify", "anonymous_id": "a1"}), false),
        (json!({"type": "identify", "anonymous_id": "a1", "user_id": "ann", "traits": {}}), false),
        (json!({"type": "set", "distinct_id": "ann", "traits": {}, "context": {}}), false),
        (json!({"type": "nothing", "distinct_id": "ann"}), false),
        (json!([]), false),
        (json!("view"), false),
    ] {
        assert_eq!(entries.is_valid(&entry), is_taken, "{entry}");
        let status = bench.post("/v1/events", &bench.admin, entry.to_string()).await.status.as_u16();
        assert_eq!(status == 202, is_taken, "{entry}: {status}");
    }
    bench.server.close().await;
}
