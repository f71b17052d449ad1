using Millrace.Kafka.Wire;

namespace Millrace.Log.Groups.Consumers;

/// <summary>
/// A consumer group in <c>__consumer_offsets</c>, whole in one record under the same key as a classic one, so that a group goes over in one
/// write. The version is our own, so that nobody takes it for Kafka's.
/// </summary>
internal sealed class ConsumerGroupValue : IWireStruct
{
    public const short RecordVersion = 100;

    public int Epoch;
    public int AssignmentEpoch;
    public long EmptySince;
    public List<MemberValue> Members = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref Epoch);
        codec.Int32(ref AssignmentEpoch);
        codec.Int64(ref EmptySince);
        codec.Structs(ref Members);
    }

    public static ConsumerGroupValue Of(ConsumerGroup group)
    {
        var value = new ConsumerGroupValue { Epoch = group.Epoch, AssignmentEpoch = group.AssignmentEpoch, EmptySince = group.EmptySince };
        foreach (var member in group.Members)
        {
            value.Members.Add(new MemberValue
            {
                MemberId = member.Id,
                InstanceId = member.InstanceId,
                RackId = member.RackId,
                ClientId = member.ClientId,
                ClientHost = member.ClientHost,
                RebalanceTimeoutMs = member.RebalanceTimeoutMs,
                SessionTimeoutMs = member.SessionTimeoutMs,
                Topics = member.Topics,
                Regex = member.Regex,
                Assignor = member.Assignor,
                Classic = member.Classic?.Select(p => new ProtocolValue { Name = p.Name, Metadata = p.Metadata }).ToList(),
                Epoch = member.Epoch,
                PreviousEpoch = member.PreviousEpoch,
                State = (sbyte)member.State,
                Assigned = Pack(member.Assigned),
                Revoking = Pack(member.Revoking),
                Target = Pack(member.Target),
            });
        }
        return value;
    }

    public IEnumerable<ConsumerMember> ToMembers() => Members.Select(m => new ConsumerMember
    {
        Id = m.MemberId,
        InstanceId = m.InstanceId,
        RackId = m.RackId,
        ClientId = m.ClientId,
        ClientHost = m.ClientHost,
        RebalanceTimeoutMs = m.RebalanceTimeoutMs,
        SessionTimeoutMs = m.SessionTimeoutMs,
        Topics = m.Topics,
        Regex = m.Regex,
        Assignor = m.Assignor,
        Classic = m.Classic?.ConvertAll(p => new GroupProtocol(p.Name, p.Metadata.ToArray())),
        Epoch = m.Epoch,
        PreviousEpoch = m.PreviousEpoch,
        State = (MemberState)m.State,
        Assigned = Unpack(m.Assigned),
        Revoking = Unpack(m.Revoking),
        Target = Unpack(m.Target),
    });

    private static List<TopicValue> Pack(HashSet<(string Topic, int Partition)> places) =>
        [.. places.GroupBy(p => p.Topic).Select(g => new TopicValue { Topic = g.Key, Partitions = [.. g.Select(p => p.Partition)] })];

    private static HashSet<(string, int)> Unpack(List<TopicValue> topics) => [.. topics.SelectMany(t => t.Partitions.Select(p => (t.Topic, p)))];

    internal sealed class MemberValue : IWireStruct
    {
        public string MemberId = "";
        public string? InstanceId;
        public string? RackId;
        public string ClientId = "";
        public string ClientHost = "";
        public int RebalanceTimeoutMs;
        public int SessionTimeoutMs;
        public List<string> Topics = [];
        public string? Regex;
        public string? Assignor;
        public List<ProtocolValue>? Classic;
        public int Epoch;
        public int PreviousEpoch;
        public sbyte State;
        public List<TopicValue> Assigned = [];
        public List<TopicValue> Revoking = [];
        public List<TopicValue> Target = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref MemberId);
            codec.NullableString(ref InstanceId);
            codec.NullableString(ref RackId);
            codec.String(ref ClientId);
            codec.String(ref ClientHost);
            codec.Int32(ref RebalanceTimeoutMs);
            codec.Int32(ref SessionTimeoutMs);
            codec.Strings(ref Topics);
            codec.NullableString(ref Regex);
            codec.NullableString(ref Assignor);
            codec.NullableStructs(ref Classic);
            codec.Int32(ref Epoch);
            codec.Int32(ref PreviousEpoch);
            codec.Int8(ref State);
            codec.Structs(ref Assigned);
            codec.Structs(ref Revoking);
            codec.Structs(ref Target);
        }
    }

    internal sealed class ProtocolValue : IWireStruct
    {
        public string Name = "";
        public ReadOnlyMemory<byte> Metadata;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Bytes(ref Metadata);
        }
    }

    internal sealed class TopicValue : IWireStruct
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
