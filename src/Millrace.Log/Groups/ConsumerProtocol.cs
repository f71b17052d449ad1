using Millrace.Kafka.Wire;

namespace Millrace.Log.Groups;

/// <param name="Topics">Names.</param>
/// <param name="Owned">What the member still reads; null when its version does not tell.</param>
internal sealed record ConsumerSubscription(List<string> Topics, List<(string Topic, int Partition)>? Owned);

/// <summary>What consumers write into a classic group's opaque bytes (ConsumerProtocolSubscription and -Assignment).</summary>
internal static class ConsumerProtocol
{
    public const string Type = "consumer";

    /// <summary>The partitions in an assignment; empty when the bytes are something else.</summary>
    public static List<(string Topic, int Partition)> Assigned(ReadOnlyMemory<byte> assignment)
    {
        var result = new List<(string, int)>();
        if (assignment.Length < 2)
            return result;
        try
        {
            var reader = new WireReader(assignment, 0, flexible: false);
            short version = 0;
            reader.Int16(ref version);
            Read(ref reader, result);
        }
        catch (WireFormatException)
        {
            // Another protocol's bytes: nothing to show.
            result.Clear();
        }
        return result;
    }

    /// <summary>An assignment's bytes, version 0.</summary>
    public static byte[] EncodeAssignment(IEnumerable<(string Topic, int Partition)> places)
    {
        using var buffer = new WireBuffer();
        var writer = new WireWriter(buffer, 0, flexible: false);
        short version = 0;
        writer.Int16(ref version);
        List<TopicPartitions> topics = [.. places.GroupBy(p => p.Topic).Select(g => new TopicPartitions { Topic = g.Key, Partitions = [.. g.Select(p => p.Partition).Order()] })];
        writer.Structs(ref topics);
        ReadOnlyMemory<byte> userData = default;
        writer.Bytes(ref userData);
        return buffer.ToArray();
    }

    /// <summary>The topics in a subscription; empty when the bytes are something else.</summary>
    public static List<string> Subscribed(ReadOnlyMemory<byte> subscription) => SubscriptionOf(subscription).Topics;

    /// <summary>A subscription; without topics when the bytes are something else.</summary>
    public static ConsumerSubscription SubscriptionOf(ReadOnlyMemory<byte> subscription)
    {
        if (subscription.Length < 2)
            return new ConsumerSubscription([], null);
        try
        {
            var reader = new WireReader(subscription, 0, flexible: false);
            short version = 0;
            List<string> topics = [];
            ReadOnlyMemory<byte> userData = default;
            reader.Int16(ref version);
            reader.Strings(ref topics);
            reader.Records(ref userData);
            if (version < 1)
                return new ConsumerSubscription(topics, null);
            var owned = new List<(string, int)>();
            Read(ref reader, owned);
            return new ConsumerSubscription(topics, owned);
        }
        catch (WireFormatException)
        {
            return new ConsumerSubscription([], null);
        }
    }

    private static void Read(ref WireReader reader, List<(string, int)> places)
    {
        List<TopicPartitions> topics = [];
        reader.Structs(ref topics);
        foreach (var topic in topics)
        {
            foreach (var partition in topic.Partitions)
                places.Add((topic.Topic, partition));
        }
    }

    private sealed class TopicPartitions : IWireStruct
    {
        public string Topic = "";
        public List<int> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Topic);
            codec.Int32s(ref Partitions);
        }
    }
}
