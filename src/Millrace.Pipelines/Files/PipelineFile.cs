namespace Millrace.Pipelines.Files;

/// <summary>A pipeline file as written: every text with its place, nothing resolved. <c>Linter</c> makes a plan of it.</summary>
public sealed record PipelineFile
{
    [FileField("pipeline", "The pipeline's name: lower-case letters, digits and _. It names the job, the consumer group and the state folder.",
        Required = true, Example = "orders_by_country", Pattern = "^[a-z][a-z0-9_]{0,62}$")]
    public Text? Pipeline { get; init; }

    [FileField("description", "What the pipeline is for, shown beside its name.")]
    public Text? Description { get; init; }

    [FileField("sources", "Topics that are read, by the name that checks, SQL and sinks call them.", Required = true)]
    public FileMap<SourceEntry> Sources { get; init; } = FileMap<SourceEntry>.Empty;

    [FileField("checks", "Rules on the rows of a source. A row that breaks one goes to the topic NAME.quarantine with every reason.", Key = "source")]
    public FileMap<FileList<CheckEntry>> Checks { get; init; } = FileMap<FileList<CheckEntry>>.Empty;

    [FileField("sql", "SQL steps by name. A step reads one source or another step, row by row (SELECT ... FROM orders WHERE ...) or by windows of event time "
        + "(SELECT ... FROM tumble(orders, 1m) GROUP BY ..., window_start).")]
    public FileMap<Text> Sql { get; init; } = FileMap<Text>.Empty;

    [FileField("sinks", "Where rows land, by the source or SQL step that they come from; one sink or a list.", Key = "output")]
    public FileMap<FileList<SinkEntry>> Sinks { get; init; } = FileMap<FileList<SinkEntry>>.Empty;

    [FileField("alerts", "Conditions on the rows of an output that are told to somebody.")]
    public FileMap<AlertEntry> Alerts { get; init; } = FileMap<AlertEntry>.Empty;

    [FileField("sagas", "Steps over services, each with what takes it back when a later one fails: `./millrace saga run FILE --saga NAME`. "
        + "`${x}` in addresses and bodies is given by `--with x=...`.")]
    public FileMap<SagaEntry> Sagas { get; init; } = FileMap<SagaEntry>.Empty;

    [FileField("priority", "Which pipeline yields when the machine is short.", Values = ["low", "normal", "high"], Default = "normal")]
    public Text? Priority { get; init; }

    [FileField("checkpoint", "How often the pipeline's position and state are made durable.", Default = "1s")]
    public CheckpointEntry? Checkpoint { get; init; }
}

/// <summary>A source: an address, or its parts.</summary>
public sealed record SourceEntry
{
    [FileField("from", "The topic: `kafka:TOPIC?option=value&option=value`. The fields below may stand here as options.",
        Required = true, ShortForm = true, Example = "kafka:orders?format=json&time=ts&watermark=5s")]
    public Text? From { get; init; }

    [FileField("schema", "Column names and types. Without it the columns are found by sampling the topic once and then kept with the job.",
        Key = "column", Example = "{order_id: bigint, amount: double, country: varchar, ts: timestamptz}")]
    public FileMap<Text>? Schema { get; init; }

    [FileField("format", "How records are written: JSON objects, or Avro with its schemas in a registry (Confluent's frame).", Values = ["json", "avro"], Default = "json")]
    public Text? Format { get; init; }

    [FileField("registry", "avro: the schema registry's address; Millrace's own by default.", Example = "http://schemas:8081")]
    public Text? Registry { get; init; }

    [FileField("subject", "avro: the subject whose newest version says what is read: its fields are the columns, and older and newer records are read as it.", Default = "TOPIC-value")]
    public Text? Subject { get; init; }

    [FileField("newer", "avro: a record of a version with more or wider fields than the columns: read what the columns hold, or wait (`on_error: retries`) as "
        + "long as the columns are not those of the subject's newest version.", Values = ["read", "wait"], Default = "read")]
    public Text? Newer { get; init; }

    [FileField("time", "The timestamptz column that carries event time. Without it the record's Kafka timestamp counts.", Example = "ts")]
    public Text? Time { get; init; }

    [FileField("watermark", "How far behind the newest event time late rows are still counted.", Default = "5s", Example = "30s")]
    public Text? Watermark { get; init; }

    [FileField("idle", "A partition that is silent for so long does not hold windows open.", Default = "10s")]
    public Text? Idle { get; init; }

    [FileField("brokers", "host:port list of the Kafka cluster; the embedded log by default.", Example = "kafka1:9092,kafka2:9092")]
    public Text? Brokers { get; init; }

    [FileField("max_record", "A record over this size is quarantined unread.", Default = "1MiB")]
    public Text? MaxRecord { get; init; }

    [FileField("unknown",
        "A field that the schema does not name: ignore the field, or quarantine the record. JSON under a declared `schema:` is quarantined unless said otherwise, under a sampled one it is not.",
        Values = ["ignore", "quarantine"])]
    public Text? Unknown { get; init; }

    [FileField("on_error", "Retries with back-off, and where dead letters go.", Example = "{retries: 5, backoff: 1s, max_backoff: 1m, dead_letter: orders.dead}")]
    public ErrorEntry? OnError { get; init; }
}

/// <summary>What happens to records that fail.</summary>
public sealed record ErrorEntry
{
    [FileField("retries", "How often a record is tried again that failed for a reason that may pass: its schema is not in the registry (yet), it does not fit the "
        + "subject's newest version (yet), its event time is ahead of the clock. All else is a dead letter at once.", Default = "0", Example = "5")]
    public Text? Retries { get; init; }

    [FileField("backoff", "The wait before the first retry; it doubles with each.", Default = "1s")]
    public Text? Backoff { get; init; }

    [FileField("max_backoff", "The longest wait between two.", Default = "1m")]
    public Text? MaxBackoff { get; init; }

    [FileField("max_waiting", "Bytes of records that wait, kept with the checkpoints; beyond it they are dead letters at once.", Default = "64MiB")]
    public Text? MaxWaiting { get; init; }

    [FileField("dead_letter", "The topic of the source's cluster that records go to which are not tried (again).", Default = "NAME.quarantine", Example = "orders.dead")]
    public Text? DeadLetter { get; init; }
}

/// <summary>One line under a source's checks: a rule, or what happens to bad rows.</summary>
public sealed record CheckEntry
{
    [FileField("rule", "A rule on each row, e.g. `amount between 0 and 100000`.", ShortForm = true, Example = "not_null(order_id, amount)")]
    public Text? Rule { get; init; }

    [FileField("on_fail", "What happens to a row that breaks a rule.", Values = ["quarantine", "stop"], Default = "quarantine")]
    public Text? OnFail { get; init; }

    [FileField("breaker", "The pipeline pauses when more than this share of the rows fails over this time.", Example = "5% over 1m")]
    public Text? Breaker { get; init; }
}

/// <summary>A sink: an address, or its parts.</summary>
public sealed record SinkEntry
{
    [FileField("to", "The address: `iceberg:NAMESPACE.TABLE`, `topic:TOPIC` (the embedded log) or `kafka:TOPIC?brokers=...`.",
        Required = true, ShortForm = true, Example = "iceberg:sales.by_country?key=country,window_start&commit=10s")]
    public Text? To { get; init; }

    [FileField("key", "Columns that identify a row. A windowed output needs them.", Example = "[country, window_start]")]
    public FileList<Text>? Key { get; init; }

    [FileField("commit", "Iceberg: a snapshot is made at most so often.", Default = "10s")]
    public Text? Commit { get; init; }

    [FileField("keep", "Iceberg: younger snapshots stay readable, older ones expire with the files that only they need. `forever` keeps all.", Default = "1h")]
    public Text? Keep { get; init; }

    [FileField("keep_last", "Iceberg: so many of the newest snapshots stay, however old.", Default = "20")]
    public Text? KeepLast { get; init; }

    [FileField("compact", "Iceberg: small files are rewritten, beside the stream, as files of this size. `off` leaves them alone.", Default = "128MiB")]
    public Text? Compact { get; init; }

    [FileField("evolve", "Iceberg: columns that the table lacks are added to it, and types widened where Iceberg lets them be; without it the job is refused.",
        Values = ["true", "false"], Default = "false")]
    public Text? Evolve { get; init; }

    [FileField("brokers", "kafka: host:port list of the cluster.")]
    public Text? Brokers { get; init; }

    [FileField("format", "topic, kafka: how rows are written: JSON objects, or Avro in Confluent's frame, whose schema follows from the columns and is registered.",
        Values = ["json", "avro"], Default = "json")]
    public Text? Format { get; init; }

    [FileField("registry", "avro: the schema registry's address; Millrace's own by default.", Example = "http://schemas:8081")]
    public Text? Registry { get; init; }

    [FileField("subject", "avro: the subject under which the rows' schema is registered.", Default = "TOPIC-value")]
    public Text? Subject { get; init; }

    [FileField("dead_letter", "topic, kafka: the topic of the sink's cluster that rows go to which the sink's topic refuses for good (too large, invalid).", Default = "TOPIC.dead", Example = "revenue.dead")]
    public Text? DeadLetter { get; init; }
}

/// <summary>An alert: its condition, and who is told.</summary>
public sealed record AlertEntry
{
    [FileField("when", "A SQL condition over an output's columns, and `for` with the event time that it must hold.",
        Required = true, ShortForm = true, Example = "revenue < 100 for 5m")]
    public Text? When { get; init; }

    [FileField("to", "Who is told: `log`, `webhook:https://...`, or a name under `targets:` in millrace.yaml (`slack:ops`).", Default = "log", Example = "slack:ops")]
    public FileList<Text>? To { get; init; }

    [FileField("output", "The source or SQL step whose rows the condition reads; needed when more than one has the columns.")]
    public Text? Output { get; init; }
}

/// <summary>A saga: its steps, in order.</summary>
public sealed record SagaEntry
{
    [FileField("steps", "What is done, in this order; taken back from the failed one to the first.", Required = true)]
    public FileList<SagaStepEntry> Steps { get; init; } = FileList<SagaStepEntry>.Empty;
}

/// <summary>A step of a saga.</summary>
public sealed record SagaStepEntry
{
    [FileField("name", "The step's name, unique in its saga; part of the `Idempotency-Key` that its requests carry.", Required = true, Example = "payment")]
    public Text? Name { get; init; }

    [FileField("do", "The request that does it. It may come more than once, always with the same key.", Required = true)]
    public SagaCallEntry? Do { get; init; }

    [FileField("undo", "The request that takes it back, also when it is unknown whether anything was done.")]
    public SagaCallEntry? Undo { get; init; }
}

/// <summary>A request of a saga: one of the three methods.</summary>
public sealed record SagaCallEntry
{
    [FileField("post", "An http or https address.", Example = "https://pay.local/charge")]
    public Text? Post { get; init; }

    [FileField("put", "The same by PUT.")]
    public Text? Put { get; init; }

    [FileField("delete", "The same by DELETE.")]
    public Text? Delete { get; init; }

    [FileField("body", "Sent as application/json.", Example = "{\"order\": \"${order}\"}")]
    public Text? Body { get; init; }
}

/// <summary>When checkpoints are cut.</summary>
public sealed record CheckpointEntry
{
    [FileField("every", "Time between two checkpoints.", ShortForm = true, Default = "1s")]
    public Text? Every { get; init; }

    [FileField("max_pending", "Rows held for sinks between two checkpoints, in bytes; more cut one early.", Default = "128MiB")]
    public Text? MaxPending { get; init; }
}
