using Millrace.Kafka.Wire;

namespace Millrace.Log.Groups;

/// <summary>What consumers write into a classic group's opaque bytes (ConsumerProtocolSubscription and -Assignment): read for tools only.</summary>
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
            List<TopicPartitions> topics = [];
            reader.Structs(ref topics);
            foreach (var topic in topics)
            {
                foreach (var partition in topic.Partitions)
                    result.Add((topic.Topic, partition));
            }
        }
        catch (WireFormatException)
        {
            // Another protocol's bytes: nothing to show.
        }
        return result;
    }

    /// <summary>The topics in a subscription; empty when the bytes are something else.</summary>
    public static List<string> Subscribed(ReadOnlyMemory<byte> subscription)
    {
        List<string> topics = [];
        if (subscription.Length < 2)
            return topics;
        try
        {
            var reader = new WireReader(subscription, 0, flexible: false);
            short version = 0;
            reader.Int16(ref version);
            reader.Strings(ref topics);
        }
        catch (WireFormatException)
        {
            topics = [];
        }
        return topics;
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
