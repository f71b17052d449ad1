using System.Net;
using Microsoft.Extensions.Logging;
using Millrace.Kafka.Messages;
using Millrace.Log.Security;
using Millrace.Log.Storage;
using Millrace.Log.Topics;

namespace Millrace.Log.Server;

/// <summary>What every handler of requests shares.</summary>
internal sealed class BrokerContext(BrokerOptions options, LogStore store, SecurityStore security, TimeProvider time, BrokerMetrics metrics, ILoggerFactory logs)
{
    private readonly long _steadyFrom = time.GetUtcNow().ToUnixTimeMilliseconds();
    private readonly long _steadySince = time.GetTimestamp();
    private int _port;

    public BrokerOptions Options { get; } = options;

    public SecurityStore Security { get; } = security;

    public QuotaBook Quotas { get; } = new(security, options.Quotas);

    public LogStore Store { get; } = store;

    public TimeProvider Time { get; } = time;

    public BrokerMetrics Metrics { get; } = metrics;

    public ILoggerFactory Logs { get; } = logs;

    public ByteBudget FetchMemory { get; } = new(options.MaxFetchMemoryBytes);

    /// <summary>Milliseconds of Unix time, as the machine's clock has it: for what is written down. It may jump.</summary>
    public long Now => Time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>
    /// Milliseconds of Unix time as they were at the start, and from there by a clock that never jumps: for whatever runs out (sessions,
    /// transactions, quotas), which must neither end at once nor last for days because somebody set the machine's clock.
    /// </summary>
    public long Steady => Store.Faults.TrustTheClock ? Now : _steadyFrom + (long)Time.GetElapsedTime(_steadySince).TotalMilliseconds;

    public int Port => _port;

    public void SetPort(int port) => _port = port;

    /// <summary>The host that a client of this connection must use: the advertised one, else the address that it has found itself.</summary>
    public string HostFor(Connection connection)
    {
        if (Options.AdvertisedHost is { } advertised && !connection.IsOwn)
            return advertised;
        var address = Options.Address;
        if (address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any))
            address = connection.LocalAddress;
        return address.IsIPv4MappedToIPv6 ? address.MapToIPv4().ToString() : address.ToString();
    }

    /// <summary>Creates a topic with the defaults when a client first names it.</summary>
    public ErrorCode AutoCreate(string name, out Topic? topic)
    {
        topic = null;
        if (TopicName.Check(name) is not null)
            return ErrorCode.InvalidTopic;
        if (!Options.AutoCreateTopics || InternalTopics.IsOurs(name))
            return ErrorCode.UnknownTopicOrPartition;
        if (Store.PartitionCount + Options.NumPartitions > Options.MaxPartitions)
            return ErrorCode.PolicyViolation;
        try
        {
            (topic, _) = Store.Create(name, Options.NumPartitions, new Dictionary<string, string>());
            return ErrorCode.None;
        }
        catch (IOException error)
        {
            Metrics.LogTrouble($"topic {name} could not be created", error);
            return ErrorCode.StorageError;
        }
    }

    /// <summary>A client knows a leader epoch from elsewhere: ours never changes.</summary>
    public static ErrorCode CheckEpoch(int currentLeaderEpoch) => currentLeaderEpoch > 0 ? ErrorCode.UnknownLeaderEpoch : ErrorCode.None;
}

/// <summary>Topics in which the broker keeps its own state.</summary>
internal static class InternalTopics
{
    public const string Offsets = "__consumer_offsets";
    public const string Transactions = "__transaction_state";

    /// <summary>As Confluent's registry calls it.</summary>
    public const string Schemas = "_schemas";

    /// <summary>How they are kept: the last record of each key.</summary>
    public static IReadOnlyDictionary<string, string> Configs { get; } = new Dictionary<string, string>
    {
        ["cleanup.policy"] = "compact",
        ["segment.bytes"] = "67108864",
        ["flush.messages"] = "1",
    };

    /// <summary>
    /// To who would make, grow, set or delete one: with another policy of cleaning or flushing, offsets that a group has committed would go back.
    /// </summary>
    public static string Refusal(string name) => $"{name} holds the broker's own state and is kept by it alone";

    public static bool IsOurs(string name) => name is Offsets or Transactions or Schemas;
}
