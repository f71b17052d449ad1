using System.Net;
using Millrace.Log.Security;
using Millrace.Storage.Files;

namespace Millrace.Log;

/// <summary>How a <see cref="Broker"/> runs. Every bound has a name and a default here.</summary>
public sealed record BrokerOptions
{
    /// <summary>Where topics, journal and checkpoint are kept; one process at a time.</summary>
    public required string DataFolder { get; init; }

    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>0 takes any free port.</summary>
    public int Port { get; init; } = 9092;

    /// <summary>The host that clients are told to connect to; by default the address, or this machine's name when bound to all.</summary>
    public string? AdvertisedHost { get; init; }

    public int NodeId { get; init; } = 1;

    /// <summary>Requests above this close their connection.</summary>
    public int MaxFrameBytes { get; init; } = 100 << 20;

    /// <summary>Connections above this are closed at once.</summary>
    public int MaxConnections { get; init; } = 10_000;

    /// <summary>Connections of one address; more are closed at once.</summary>
    public int MaxConnectionsPerAddress { get; init; } = int.MaxValue;

    /// <summary>Who may connect and what they may do; null trusts everyone that reaches the port.</summary>
    public BrokerSecurity? Security { get; init; }

    /// <summary>Rates that no client may pass, beside those that are set over the protocol.</summary>
    public IReadOnlyList<ClientQuota> Quotas { get; init; } = [];

    /// <summary>Bytes of requests that may be in memory over all connections; readers of more wait.</summary>
    public long MaxRequestBytes { get; init; } = 256 << 20;

    /// <summary>Requests of one connection that may be in work or waiting for their answer to be sent.</summary>
    public int MaxRequestsInFlight { get; init; } = 64;

    /// <summary>A connection that stops in the middle of a request for so long is closed.</summary>
    public TimeSpan FrameTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Bytes of one Fetch response; the first batch is given whole even above it.</summary>
    public int MaxFetchBytes { get; init; } = 16 << 20;

    /// <summary>Bytes of Fetch responses in memory over all connections; above it each response carries one batch.</summary>
    public long MaxFetchMemoryBytes { get; init; } = 96 << 20;

    /// <summary>Topics are created when a producer or consumer first names them.</summary>
    public bool AutoCreateTopics { get; init; } = true;

    /// <summary>Partitions of a topic that does not say.</summary>
    public int NumPartitions { get; init; } = 3;

    /// <summary>Partitions of all topics together.</summary>
    public int MaxPartitions { get; init; } = 5_000;

    /// <summary>Default of the topic setting <c>max.message.bytes</c>: the largest record batch.</summary>
    public int MaxMessageBytes { get; init; } = 16 << 20;

    /// <summary>Default of the topic setting <c>segment.bytes</c>.</summary>
    public int SegmentBytes { get; init; } = 256 << 20;

    /// <summary>Default of the topic setting <c>retention.ms</c>; negative keeps for ever.</summary>
    public TimeSpan Retention { get; init; } = TimeSpan.FromDays(7);

    /// <summary>Default of the topic setting <c>retention.bytes</c>, per partition; -1: no bound.</summary>
    public long RetentionBytes { get; init; } = -1;

    /// <summary>How often retention and the like are looked after.</summary>
    public TimeSpan MaintenanceInterval { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Journal size after which a checkpoint is made: bounds what a restart reads.</summary>
    public long JournalBytes { get; init; } = 64 << 20;

    /// <summary>
    /// Memory for records that are acknowledged, and in the journal, but not in their segment's file yet. What has no room goes to the file at
    /// once, which with many partitions is slower.
    /// </summary>
    public long TailMemoryBytes { get; init; } = 48 << 20;

    /// <summary>How long the first members of a new group are waited for.</summary>
    public TimeSpan GroupInitialRebalanceDelay { get; init; } = TimeSpan.FromMilliseconds(50);

    public TimeSpan GroupMinSessionTimeout { get; init; } = TimeSpan.FromSeconds(6);

    public TimeSpan GroupMaxSessionTimeout { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>How often members of a group of the consumer protocol are told to send a heartbeat.</summary>
    public TimeSpan ConsumerHeartbeatInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A member of a group of the consumer protocol without a heartbeat for so long is gone.</summary>
    public TimeSpan ConsumerSessionTimeout { get; init; } = TimeSpan.FromSeconds(45);

    /// <summary>Members of one group.</summary>
    public int GroupMaxSize { get; init; } = 1_000;

    /// <summary>Committed offsets of a group without members are kept so long.</summary>
    public TimeSpan OffsetRetention { get; init; } = TimeSpan.FromDays(7);

    /// <summary>Bytes of the metadata of one committed offset.</summary>
    public int MaxOffsetMetadataBytes { get; init; } = 4096;

    /// <summary>State of an idempotent producer that is silent so long is dropped.</summary>
    public TimeSpan ProducerIdExpiration { get; init; } = TimeSpan.FromDays(1);

    /// <summary>Keys that one round of compaction remembers, about 50 bytes each; a partition with more takes several rounds.</summary>
    public int CompactionKeys { get; init; } = 1_000_000;

    /// <summary>The longest timeout that a producer may ask for its transactions.</summary>
    public TimeSpan MaxTransactionTimeout { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>How often transactions are looked at that have run too long.</summary>
    public TimeSpan TransactionScanInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A transactional id that nobody uses for so long is forgotten.</summary>
    public TimeSpan TransactionalIdExpiration { get; init; } = TimeSpan.FromDays(7);

    /// <summary>The disk.</summary>
    public IFileSystem Files { get; init; } = DiskFileSystem.Instance;
}
