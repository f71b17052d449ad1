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
internal sealed record TopicConfigKey(string Name, ConfigType Type, string Default, Func<string, string?> Check)
{
    /// <summary>It has one value only.</summary>
    public bool IsFixed { get; init; }
}

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

    /// <summary>Of <see cref="SegmentMillis"/>, how much earlier partitions roll, each by another part of it.</summary>
    public long SegmentJitterMillis { get; init; }

    /// <summary>How much older than the broker's clock a record may be.</summary>
    public long TimestampBeforeMillis { get; init; }

    /// <summary>How far ahead of the broker's clock a record may be.</summary>
    public long TimestampAfterMillis { get; init; }

    /// <summary>Records' times must be looked at: the producers' own count, and not any will do.</summary>
    public bool LimitsTimestamps => !Partition.LogAppendTime && (TimestampBeforeMillis != long.MaxValue || TimestampAfterMillis != long.MaxValue);

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
            SegmentJitterMillis = Number("segment.jitter.ms"),
            TimestampBeforeMillis = Number("message.timestamp.before.max.ms"),
            TimestampAfterMillis = Number("message.timestamp.after.max.ms"),
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
        yield return Fixed("segment.index.bytes", ConfigType.Int, "10485760", "an index grows with its segment");
        yield return Fixed("index.interval.bytes", ConfigType.Int, SegmentIndex.IntervalBytes.ToString(CultureInfo.InvariantCulture), "indexes are sparse by this distance");
        yield return Number("max.message.bytes", 16 << 20, 0, 256 << 20);
        yield return Fixed("min.insync.replicas", ConfigType.Int, "1", "a partition has one replica");
        yield return Number("delete.retention.ms", day, 0, long.MaxValue);
        yield return Number("min.compaction.lag.ms", 0, 0, long.MaxValue);
        yield return Number("max.compaction.lag.ms", long.MaxValue, 1, long.MaxValue);
        yield return Fixed("file.delete.delay.ms", ConfigType.Long, "0", "files go as soon as their last reader has finished");
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
        yield return Fixed("compression.type", ConfigType.String, "producer", "batches are kept as producers compressed them");
        yield return Fixed("preallocate", ConfigType.Boolean, "false", "segments grow as they are written");
        yield return Fixed("unclean.leader.election.enable", ConfigType.Boolean, "false", "a partition has one replica");
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

    /// <summary>What tools ask for and what cannot be another way here: shown as it is, and refused by name when somebody wants it otherwise.</summary>
    private static TopicConfigKey Fixed(string name, ConfigType type, string value, string why) =>
        new(name, type, value, v => v == value ? null : $"{name} is always {value} here: {why}") { IsFixed = true };

    private static TopicConfigKey OneOf(string name, params string[] values) => new(
        name, values is ["false", "true"] ? ConfigType.Boolean : ConfigType.String, values[0], v =>
            values.Contains(v) ? null : $"must be {string.Join(" or ", values)}");
}
