using Millrace.Kafka.Wire;

namespace Millrace.Log.Groups;

/// <summary>
/// Records of <c>__consumer_offsets</c>, in Kafka's own formats (OffsetCommitKey/Value, GroupMetadataKey/Value), so that tools which know
/// that topic can read it. Each begins with its version.
/// </summary>
internal static class GroupRecords
{
    public const short OffsetKeyVersion = 1;
    public const short GroupKeyVersion = 2;
    public const short ValueVersion = 3;

    public static byte[] Encode<T>(short version, T record) where T : IWireStruct
    {
        using var buffer = new WireBuffer();
        var writer = new WireWriter(buffer, version, flexible: false);
        writer.Int16(ref version);
        record.Serialize(ref writer);
        return buffer.ToArray();
    }

    /// <summary>The version that a key or value begins with.</summary>
    public static short VersionOf(ReadOnlySpan<byte> bytes) =>
        bytes.Length < 2 ? (short)-1 : System.Buffers.Binary.BinaryPrimitives.ReadInt16BigEndian(bytes);

    public static T Decode<T>(ReadOnlyMemory<byte> bytes) where T : class, IWireStruct, new() =>
        WireReader.Read<T>(bytes[2..], VersionOf(bytes.Span), flexible: false);
}

internal sealed class OffsetKey : IWireStruct
{
    public string Group = "";
    public string Topic = "";
    public int Partition;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.String(ref Group);
        codec.String(ref Topic);
        codec.Int32(ref Partition);
    }
}

internal sealed class OffsetValue : IWireStruct
{
    public long Offset;
    public int LeaderEpoch = -1;
    public string Metadata = "";
    public long CommitTimestamp;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int64(ref Offset);
        codec.Int32(ref LeaderEpoch);
        codec.String(ref Metadata);
        codec.Int64(ref CommitTimestamp);
    }
}

internal sealed class GroupKey : IWireStruct
{
    public string Group = "";

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct => codec.String(ref Group);
}

internal sealed class GroupValue : IWireStruct
{
    public string ProtocolType = "";
    public int Generation;
    public string? Protocol;
    public string? Leader;
    public long StateSince = -1;
    public List<MemberValue> Members = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.String(ref ProtocolType);
        codec.Int32(ref Generation);
        codec.NullableString(ref Protocol);
        codec.NullableString(ref Leader);
        codec.Int64(ref StateSince);
        codec.Structs(ref Members);
    }

    internal sealed class MemberValue : IWireStruct
    {
        public string MemberId = "";
        public string? GroupInstanceId;
        public string ClientId = "";
        public string ClientHost = "";
        public int RebalanceTimeout;
        public int SessionTimeout;
        public ReadOnlyMemory<byte> Subscription;
        public ReadOnlyMemory<byte> Assignment;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref MemberId);
            codec.NullableString(ref GroupInstanceId);
            codec.String(ref ClientId);
            codec.String(ref ClientHost);
            codec.Int32(ref RebalanceTimeout);
            codec.Int32(ref SessionTimeout);
            codec.Bytes(ref Subscription);
            codec.Bytes(ref Assignment);
        }
    }
}
