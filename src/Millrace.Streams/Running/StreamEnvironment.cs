using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Iceberg.Catalogs;
using Millrace.Kafka.Clients;
using Millrace.Iceberg.Maintenance;
using Millrace.Storage.RocksDb;
using Millrace.Streams.Alerts;
using Millrace.Streams.Checks;
using Millrace.Streams.Checks.Unique;
using Millrace.Streams.Sinks;

namespace Millrace.Streams.Running;

/// <summary>What a pipeline runs in: its folder, the tables' catalog, time, logs.</summary>
public sealed record StreamEnvironment
{
    /// <summary>The folder of this pipeline's state; locked while it runs.</summary>
    public required string StateFolder { get; init; }

    /// <summary>Where Iceberg sinks find their tables.</summary>
    public required FolderCatalog Catalog { get; init; }

    public ILoggerFactory Logs { get; init; } = NullLoggerFactory.Instance;

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>How Kafka clients connect.</summary>
    public ClientLogins Logins { get; init; } = ClientLogins.None;

    /// <summary>How alerts leave; null makes an HTTP client when one is needed.</summary>
    public IAlertSender? AlertSender { get; init; }

    public StreamOptions Options { get; init; } = new();

    public StreamFailPoints FailPoints { get; init; } = StreamFailPoints.None;
}

/// <summary>Bounds and timings of a running pipeline.</summary>
public sealed record StreamOptions
{
    /// <summary>Most records of one micro-batch; a backlog fills it, low load does not.</summary>
    public int MaxBatchRecords { get; init; } = 32_768;

    /// <summary>Longest wait for a micro-batch to fill: what low load adds to latency.</summary>
    public TimeSpan MaxBatchWait { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>
    /// Rows that a windowed query lets wait, over micro-batches, for one run of its statement. They never wait for one that somebody looks at,
    /// that a checkpoint holds, or whose window ends.
    /// </summary>
    public int MaxDeferredRows { get; init; } = 16_384;

    /// <summary>A record whose event time is further ahead of the clock is quarantined: it would close every open window.</summary>
    public TimeSpan MaxFutureEventTime { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Bytes owed to one topic after which the pipeline pauses intake until some are delivered.</summary>
    public long MaxOwedBytes { get; init; } = 256L << 20;

    /// <summary>Bytes staged for one table after which the pipeline pauses intake until some are committed.</summary>
    public long MaxStagedBytes { get; init; } = 4L << 30;

    /// <summary>Bytes of window state in memory, over all queries, at which the pipeline stops with an error.</summary>
    public long MaxStateBytes { get; init; } = 2L << 30;

    /// <summary>Bytes that the plan's SQL may use at once.</summary>
    public long QueryMemoryBytes { get; init; } = 512L << 20;

    /// <summary>Bytes that writing data files may use at once.</summary>
    public long SinkMemoryBytes { get; init; } = 512L << 20;

    /// <summary>Kibibytes that the Kafka client prefetches for one source; less starves a stream that catches up.</summary>
    public int PrefetchKilobytes { get; init; } = 96 << 10;

    /// <summary>Records that the Kafka client prefetches for one source, some 400 bytes of the client's own each.</summary>
    public int PrefetchRecords { get; init; } = 400_000;

    /// <summary>When breakers judge, and how they try again.</summary>
    public CircuitBreakerOptions Breaker { get; init; } = new();

    /// <summary>Bounds of unique checks.</summary>
    public UniqueOptions Unique { get; init; } = new();

    /// <summary>Different reasons that are counted by name for a source; further ones count as <c>other</c>.</summary>
    public int MaxReasons { get; init; } = 200;

    /// <summary>Newest rows kept of an output that has no windows.</summary>
    public int LiveRows { get; init; } = 1000;

    /// <summary>Newest quarantined rows kept for display, and the bytes of each.</summary>
    public int NewestQuarantined { get; init; } = 200;

    public int QuarantinedDisplayBytes { get; init; } = 4096;

    /// <summary>First pause before a pipeline that met a failing disk tries again; doubles up to <see cref="MaxRetryPause"/>.</summary>
    public TimeSpan MinRetryPause { get; init; } = TimeSpan.FromSeconds(1);

    public TimeSpan MaxRetryPause { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How tables are kept in shape while sinks write to them.</summary>
    public UpkeepOptions Upkeep { get; init; } = new();

    /// <summary>Keys of one alert whose state is kept; further keys are not watched.</summary>
    public int MaxAlertKeys { get; init; } = 10_000;

    /// <summary>Event time without rows of a key after which its alert is over; never less than the alert's own span.</summary>
    public TimeSpan AlertSilence { get; init; } = TimeSpan.FromHours(1);

    public RocksOptions State { get; init; } = new();

    public DeliveryOptions Delivery { get; init; } = new();

    /// <summary>librdkafka's settings by name for sources, e.g. <c>security.protocol</c>.</summary>
    public IReadOnlyDictionary<string, string> KafkaSettings { get; init; } = new Dictionary<string, string>();
}
