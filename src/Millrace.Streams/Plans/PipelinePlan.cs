using Millrace.Columnar;

namespace Millrace.Streams.Plans;

/// <summary>
/// What a pipeline does, typed and checked: made from a pipeline file by Millrace.Pipelines, run by <c>Millrace.Streams.Running</c>.
/// Names have been resolved and SQL has been analysed; a plan that exists can run.
/// </summary>
public sealed record PipelinePlan
{
    /// <summary>Lower-case identifier; also the consumer group's id and the state folder's name.</summary>
    public required string Name { get; init; }

    /// <summary>What it is for, in its writer's words.</summary>
    public string? Description { get; init; }

    public Priority Priority { get; init; } = Priority.Normal;

    public required IReadOnlyList<SourcePlan> Sources { get; init; }

    /// <summary>In order of dependency: a query reads sources and queries that stand before it.</summary>
    public required IReadOnlyList<QueryPlan> Queries { get; init; }

    public required IReadOnlyList<SinkPlan> Sinks { get; init; }

    public IReadOnlyList<AlertPlan> Alerts { get; init; } = [];

    public IReadOnlyList<SagaPlan> Sagas { get; init; } = [];

    public CheckpointOptions Checkpoints { get; init; } = new();
}

public enum Priority
{
    Low,
    Normal,
    High,
}

/// <param name="Every">Time between checkpoints; a checkpoint is also cut early when what is pending passes <paramref name="MaxPendingBytes"/>.</param>
/// <param name="MaxPendingBytes">Rows held for sinks and quarantine between two checkpoints, in bytes.</param>
public sealed record CheckpointOptions(TimeSpan Every, long MaxPendingBytes)
{
    public CheckpointOptions()
        : this(TimeSpan.FromSeconds(1), 128L << 20)
    {
    }
}

public enum RecordFormat
{
    Json,

    /// <summary>Avro in Confluent's frame, its schemas in a registry.</summary>
    Avro,
}

/// <summary>Where an Avro source's schemas are, and how its records are read.</summary>
/// <param name="Registry">A schema registry's address; may carry credentials, so it is not shown.</param>
/// <param name="Subject">The subject whose newest version records are read as.</param>
/// <param name="Reader">That version when the plan was made; null when it was not known then: it is asked for with the first record, and records are read as they were written when there is none.</param>
public sealed record AvroSourcePlan(Uri Registry, string Subject, AvroReaderSchema? Reader)
{
    /// <summary>
    /// A record that these columns cannot hold whole is not read while the subject has a newest version of other columns: it fails for a reason that
    /// may pass, since the columns are expected to follow.
    /// </summary>
    public bool WaitsForColumns { get; init; }
}

/// <param name="Id">In the registry.</param>
/// <param name="Referenced">Texts of the schemas that it uses, each after those that it uses itself.</param>
public sealed record AvroReaderSchema(int Id, string Text, IReadOnlyList<string> Referenced);

/// <summary>A topic read as columns, and the firewall in front of it.</summary>
public sealed record SourcePlan
{
    /// <summary>
    /// The TimestampTz column that a source without <see cref="TimeColumn"/> carries behind its own columns: the record's Kafka timestamp.
    /// SQL steps see it, raw sinks do not.
    /// </summary>
    public const string KafkaTimeColumn = "kafka_timestamp";

    public required string Name { get; init; }

    public required string Topic { get; init; }

    /// <summary>host:port list; the embedded log's own address by default.</summary>
    public required string Brokers { get; init; }

    public RecordFormat Format { get; init; } = RecordFormat.Json;

    /// <summary>Of an Avro source.</summary>
    public AvroSourcePlan? Avro { get; init; }

    /// <summary>The columns, declared in the file or sampled from the topic (and then kept with the job).</summary>
    public required Schema Schema { get; init; }

    /// <summary>The TimestampTz column that carries event time; null takes the record's Kafka timestamp (<see cref="KafkaTimeColumn"/>).</summary>
    public string? TimeColumn { get; init; }

    /// <summary>How far behind the newest event time of a partition its watermark stays.</summary>
    public TimeSpan WatermarkDelay { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A partition that is read to its end and silent for so long does not hold the watermark back.</summary>
    public TimeSpan IdleAfter { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A record over this is quarantined unread.</summary>
    public int MaxRecordBytes { get; init; } = 1 << 20;

    /// <summary>The columns of the batches that SQL steps over this source read.</summary>
    public Schema RowSchema => TimeColumn is null
        ? new Schema([.. Schema.Fields, new Field(KafkaTimeColumn, DataType.TimestampTz, Nullable: false)])
        : Schema;

    /// <summary>Fields that the schema does not know: quarantine the record (true) or ignore the field.</summary>
    public bool RefuseUnknownFields { get; init; }

    public IReadOnlyList<CheckPlan> Checks { get; init; } = [];

    public OnFail OnFail { get; init; } = OnFail.Quarantine;

    public BreakerPlan? Breaker { get; init; }

    /// <summary>What happens to records that fail for a reason that may pass, and where those end that do not get better.</summary>
    public ErrorPlan Errors { get; init; } = new();

    /// <summary>Topic that bad rows go to: <c>NAME.quarantine</c> unless the file names another.</summary>
    public string QuarantineTopic => Errors.DeadLetterTopic ?? Name + ".quarantine";

    /// <summary>Topic that late rows go to: <c>NAME.late</c>.</summary>
    public string LateTopic => Name + ".late";
}

/// <summary>Retries of records that failed for a reason that may pass (<c>on_error:</c>).</summary>
public sealed record ErrorPlan
{
    /// <summary>How often such a record is tried again before it is a dead letter; 0 makes it one at once.</summary>
    public int Retries { get; init; }

    /// <summary>The wait before the first retry; it doubles with each.</summary>
    public TimeSpan Backoff { get; init; } = TimeSpan.FromSeconds(1);

    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Bytes of records that wait; beyond it they are dead letters at once.</summary>
    public long MaxWaitingBytes { get; init; } = 64L << 20;

    /// <summary>Null: the quarantine topic.</summary>
    public string? DeadLetterTopic { get; init; }

    /// <summary>The wait behind so many attempts.</summary>
    public TimeSpan BackoffAfter(int attempts)
    {
        var doubled = Backoff.Ticks * Math.Pow(2, Math.Clamp(attempts - 1, 0, 62));
        return doubled >= MaxBackoff.Ticks ? MaxBackoff : TimeSpan.FromTicks((long)doubled);
    }
}

public enum OnFail
{
    /// <summary>The row goes to the quarantine topic with every reason.</summary>
    Quarantine,

    /// <summary>The pipeline stops at the row, before it.</summary>
    Stop,
}

/// <summary>Opens when more than <paramref name="Share"/> (0..1) of the rows fail over <paramref name="Over"/>: the pipeline pauses and says so.</summary>
public sealed record BreakerPlan(double Share, TimeSpan Over);

/// <summary>One rule over one row (or, for <see cref="UniqueCheck"/>, over rows within a time). <paramref name="Text"/> is the rule as written: the reason.</summary>
public abstract record CheckPlan(string Text);

/// <summary>None of the columns is null. A failure names the column.</summary>
public sealed record NotNullCheck(string Text, IReadOnlyList<string> Columns) : CheckPlan(Text);

/// <summary>Lower &lt;= column &lt;= upper; null passes (not_null says otherwise).</summary>
public sealed record BetweenCheck(string Text, string Column, Literal Lower, Literal Upper) : CheckPlan(Text);

public sealed record ComparisonCheck(string Text, string Column, ComparisonOperator Operator, Literal Value) : CheckPlan(Text);

public sealed record OneOfCheck(string Text, string Column, IReadOnlyList<Literal> Values, bool Negated) : CheckPlan(Text);

/// <summary>A .NET regular expression, non-backtracking, over the whole UTF-8 value's text.</summary>
public sealed record MatchesCheck(string Text, string Column, string Pattern, bool Negated) : CheckPlan(Text);

/// <summary>Length in Unicode code points of a text column, inclusive bounds.</summary>
public sealed record LengthCheck(string Text, string Column, int Least, int Most) : CheckPlan(Text);

/// <summary>The first row with these values within the event-time span is good, later ones are duplicates.</summary>
public sealed record UniqueCheck(string Text, IReadOnlyList<string> Columns, TimeSpan Within) : CheckPlan(Text);

public enum ComparisonOperator
{
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// <summary>A literal of a check: exactly one of the values, by kind.</summary>
public abstract record Literal
{
    public sealed record Integer(long Value) : Literal;

    public sealed record Number(double Value, string Written) : Literal;

    public sealed record Text(string Value) : Literal;

    public sealed record Boolean(bool Value) : Literal;

    /// <summary>Microseconds since 1970-01-01T00:00Z.</summary>
    public sealed record Instant(long Micros) : Literal;
}

/// <summary>A named SQL step.</summary>
/// <param name="Name">The output's name.</param>
/// <param name="Sql">The statement as written.</param>
/// <param name="Input">The source or query that it reads.</param>
/// <param name="Output">Its columns.</param>
public abstract record QueryPlan(string Name, string Sql, string Input, Schema Output);

/// <summary>Row by row: <paramref name="BatchSql"/> runs in DuckDB on every batch, which stands there as the table <c>batch</c>.</summary>
public sealed record StatelessQueryPlan(string Name, string Sql, string Input, Schema Output, string BatchSql)
    : QueryPlan(Name, Sql, Input, Output);

/// <summary>
/// A tumbling-window aggregate cut in three. <paramref name="PartialSql"/> runs in DuckDB on every batch (the table <c>batch</c>) and gives
/// one row a group with the columns of <paramref name="Partial"/>; partials of one group merge by each column's <see cref="Merge"/>;
/// <paramref name="FinalSql"/> runs over merged rows (the table <c>partials</c>) when the window closes, and for the live view.
/// </summary>
public sealed record WindowedQueryPlan(
    string Name, string Sql, string Input, Schema Output, TimeSpan Size, string PartialSql, IReadOnlyList<PartialColumn> Partial, string FinalSql)
    : QueryPlan(Name, Sql, Input, Output)
{
    /// <summary>Output columns, without those of the window, that tell the groups of one window apart: what an alert follows by itself.</summary>
    public IReadOnlyList<string> Keys { get; init; } = [];
}

/// <summary>A column of a partial row. The window's start is a <see cref="Merge.Key"/> column of type TimestampTz named <c>window_start</c>.</summary>
public sealed record PartialColumn(Field Field, Merge Merge);

public enum Merge
{
    /// <summary>Part of the group's key.</summary>
    Key,

    /// <summary>Int64, Float64 or Decimal128; null counts as absent.</summary>
    Sum,
    Min,
    Max,
    And,
    Or,
}

/// <summary>Where an output's rows land.</summary>
public abstract record SinkPlan(string Input);

/// <summary>An Iceberg table; rows are appended, each once.</summary>
/// <param name="Key">Columns that identify a row: the table's identifier fields. Empty for plain events.</param>
/// <param name="CommitEvery">Snapshots are made at most so often.</param>
public sealed record IcebergSinkPlan(string Input, string Namespace, string Table, IReadOnlyList<string> Key, TimeSpan CommitEvery) : SinkPlan(Input)
{
    public SinkUpkeep Upkeep { get; init; } = new();

    /// <summary>Whether columns that the table lacks are added to it and types widened; else such rows are refused at the start.</summary>
    public bool Evolve { get; init; }
}

/// <summary>What a sink asks of its table's upkeep; null takes the table's own properties, then the installation's settings.</summary>
/// <param name="Keep">Younger snapshots stay; <see cref="TimeSpan.MaxValue"/> keeps all.</param>
/// <param name="KeepLast">So many of the newest stay.</param>
/// <param name="CompactTo">Bytes of the files that small ones become; 0 leaves them alone.</param>
public sealed record SinkUpkeep(TimeSpan? Keep = null, int? KeepLast = null, long? CompactTo = null);

/// <summary>A topic; rows as JSON objects, or as Avro in Confluent's frame.</summary>
public sealed record TopicSinkPlan(string Input, string Brokers, string Topic, IReadOnlyList<string> Key) : SinkPlan(Input)
{
    /// <summary>Null writes JSON.</summary>
    public AvroSinkPlan? Avro { get; init; }

    /// <summary>Where rows go that the topic refuses for good (too large, invalid): <c>TOPIC.dead</c> unless the file names another.</summary>
    public string DeadLetterTopic { get; init; } = Topic + ".dead";
}

/// <summary>Where the schema of an Avro sink's rows is registered.</summary>
/// <param name="Registry">A schema registry's address; may carry credentials, so it is not shown.</param>
/// <param name="Subject">The subject of which the rows' schema becomes a version, when it is none yet.</param>
/// <param name="Record">The record's full name.</param>
public sealed record AvroSinkPlan(Uri Registry, string Subject, string Record);

/// <summary>Fires when the condition holds for rows of an output for a span of event time; tells again when it is over.</summary>
/// <param name="Condition">A boolean DuckDB expression over the output's columns, without the <c>for</c> part.</param>
public sealed record AlertPlan(string Name, string Input, string Condition, TimeSpan For, IReadOnlyList<AlertTarget> Targets);

/// <summary>Where an alert is told. Secrets (webhook addresses) stay out of plans that are shown.</summary>
public abstract record AlertTarget
{
    public sealed record Log : AlertTarget;

    /// <param name="Name">The name under <c>targets:</c> in millrace.yaml, or the address's host.</param>
    public sealed record Webhook(string Name, Uri Address) : AlertTarget
    {
        public override string ToString() => $"webhook {Name}";
    }
}
