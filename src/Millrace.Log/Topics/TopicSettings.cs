using System.Globalization;
using Millrace.Log.Storage;

namespace Millrace.Log.Topics;

/// <summary>The type codes of DescribeConfigs v3.</summary>
internal enum ConfigType : sbyte
{
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// <param name="Name">As in Kafka's topic configurations.</param>
/// <param name="Type">For tools.</param>
/// <param name="Default">When neither the topic nor the broker says otherwise.</param>
/// <param name="Check">Null when the value may be used, else what is wrong with it.</param>
internal sealed record TopicConfigKey(string Name, ConfigType Type, string Default, Func<string, string?> Check);

/// <summary>A topic's configuration, parsed. Names and meanings are Kafka's.</summary>
internal sealed record TopicSettings
{
    private static readonly Dictionary<string, TopicConfigKey> KeyByName = Keys().ToDictionary(k => k.Name);

    /// <summary>The Iceberg table that the topic's records land in by themselves; empty for none.</summary>
    public const string IcebergTable = "millrace.iceberg.table";

    /// <summary>Snapshots of that table are made at most so often.</summary>
    public const string IcebergCommit = "millrace.iceberg.commit.ms";

    public static IReadOnlyCollection<TopicConfigKey> AllKeys => KeyByName.Values;

    public bool Compact { get; init; }

    public bool Delete { get; init; } = true;

    /// <summary>-1: for ever.</summary>
    public long RetentionMillis { get; init; }

    /// <summary>Per partition; -1: no bound.</summary>
    public long RetentionBytes { get; init; }

    public long SegmentMillis { get; init; }

    public int MaxMessageBytes { get; init; }

    public long DeleteRetentionMillis { get; init; }

    public double MinCleanableDirtyRatio { get; init; }

    public long MinCompactionLagMillis { get; init; }

    public long MaxCompactionLagMillis { get; init; }

    public required PartitionSettings Partition { get; init; }

    public static TopicConfigKey? Find(string name) => KeyByName.GetValueOrDefault(name);

    /// <summary>What is wrong with a set of configurations, or null.</summary>
    public static string? Check(IReadOnlyDictionary<string, string> configs)
    {
        foreach (var (name, value) in configs)
        {
            if (Find(name) is not { } key)
                return $"Unknown topic config name: {name}";
            if (key.Check(value) is { } wrong)
                return $"Invalid value {value} for configuration {name}: {wrong}";
        }
        return null;
    }

    /// <summary>Parses checked configurations.</summary>
    public static TopicSettings Parse(IReadOnlyDictionary<string, string> configs, IReadOnlyDictionary<string, string> defaults)
    {
        string Get(string name) => ValueOf(name, configs, defaults);
        long Number(string name) => long.Parse(Get(name), CultureInfo.InvariantCulture);
        var policy = Get("cleanup.policy").Split(',', StringSplitOptions.TrimEntries);
        return new TopicSettings
        {
            Compact = policy.Contains("compact"),
            Delete = policy.Contains("delete"),
            RetentionMillis = Number("retention.ms"),
            RetentionBytes = Number("retention.bytes"),
            SegmentMillis = Number("segment.ms"),
            MaxMessageBytes = (int)Number("max.message.bytes"),
            DeleteRetentionMillis = Number("delete.retention.ms"),
            MinCleanableDirtyRatio = double.Parse(Get("min.cleanable.dirty.ratio"), CultureInfo.InvariantCulture),
            MinCompactionLagMillis = Number("min.compaction.lag.ms"),
            MaxCompactionLagMillis = Number("max.compaction.lag.ms"),
            Partition = new PartitionSettings
            {
                SegmentBytes = (int)Number("segment.bytes"),
                FlushMessages = Number("flush.messages"),
                FlushMillis = Number("flush.ms"),
                LogAppendTime = Get("message.timestamp.type") == "LogAppendTime",
            },
        };
    }

    /// <summary>The value that holds: the topic's, else the broker's, else Kafka's default.</summary>
    public static string ValueOf(string name, IReadOnlyDictionary<string, string> configs, IReadOnlyDictionary<string, string> defaults) =>
        configs.TryGetValue(name, out var own) ? own : defaults.TryGetValue(name, out var common) ? common : KeyByName[name].Default;

    private static IEnumerable<TopicConfigKey> Keys()
    {
        const long day = 86_400_000;
        yield return new("cleanup.policy", ConfigType.List, "delete", v =>
            v.Split(',', StringSplitOptions.TrimEntries).All(p => p is "delete" or "compact") ? null : "must be delete, compact or both");
        yield return Number("retention.ms", 7 * day, -1, long.MaxValue);
        yield return Number("retention.bytes", -1, -1, long.MaxValue);
        yield return Number("segment.bytes", 256 << 20, 1 << 10, 1 << 30);
        yield return Number("segment.ms", 7 * day, 1, long.MaxValue);
        yield return Number("segment.jitter.ms", 0, 0, long.MaxValue);
        yield return Number("segment.index.bytes", 10 << 20, 4, int.MaxValue);
        yield return Number("index.interval.bytes", 4096, 0, int.MaxValue);
        yield return Number("max.message.bytes", 16 << 20, 0, 256 << 20);
        yield return Number("min.insync.replicas", 1, 1, 1);
        yield return Number("delete.retention.ms", day, 0, long.MaxValue);
        yield return Number("min.compaction.lag.ms", 0, 0, long.MaxValue);
        yield return Number("max.compaction.lag.ms", long.MaxValue, 1, long.MaxValue);
        yield return Number("file.delete.delay.ms", 60_000, 0, long.MaxValue);
        yield return Number("flush.messages", 1, 1, long.MaxValue);
        yield return Number("flush.ms", long.MaxValue, 0, long.MaxValue);
        yield return Number("message.timestamp.before.max.ms", long.MaxValue, 0, long.MaxValue);
        yield return Number("message.timestamp.after.max.ms", long.MaxValue, 0, long.MaxValue);
        yield return new("min.cleanable.dirty.ratio", ConfigType.Double, "0.5", v =>
            double.TryParse(v, NumberStyles.Float, CultureInfo.InvariantCulture, out var ratio) && ratio is >= 0 and <= 1
                ? null : "must be a number from 0 to 1");
        yield return new(IcebergTable, ConfigType.String, "", v => v.Length == 0 || IsTable(v) ? null : "must be namespace.table: letters, digits, _ and -");
        yield return Number(IcebergCommit, 10_000, 1_000, 3_600_000);
        yield return OneOf("message.timestamp.type", "CreateTime", "LogAppendTime");
        yield return OneOf("compression.type", "producer");
        yield return OneOf("preallocate", "false", "true");
        yield return OneOf("unclean.leader.election.enable", "false", "true");
    }

    private static bool IsTable(string name)
    {
        var parts = name.Split('.');
        return parts.Length >= 2 && parts.All(p => p.Length > 0 && p.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-'));
    }

    private static TopicConfigKey Number(string name, long standard, long least, long most) => new(
        name, most > int.MaxValue ? ConfigType.Long : ConfigType.Int, standard.ToString(CultureInfo.InvariantCulture), v =>
            long.TryParse(v, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most
                ? null
                : $"must be a whole number from {least} to {most}");

    private static TopicConfigKey OneOf(string name, params string[] values) => new(
        name, values is ["false", "true"] ? ConfigType.Boolean : ConfigType.String, values[0], v =>
            values.Contains(v) ? null : $"must be {string.Join(" or ", values)}");
}
