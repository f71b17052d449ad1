using System.Buffers.Binary;
using Millrace.Raft;

namespace Millrace.Coordination.Node;

/// <summary>What members send each other beside the algorithm.</summary>
internal static class NodeChannels
{
    public const byte Proposals = 1;
    public const byte LeaderCall = 2;
    public const byte LeaderReply = 3;
    public const byte Sessions = 4;
}

/// <summary>Commands for the leader of a term, as another member took them: term (8), then length (4) and bytes of each.</summary>
internal sealed record ForwardedProposals(MemberId From, long Term, IReadOnlyList<ReadOnlyMemory<byte>> Commands)
{
    public static byte[] Encode(long term, IReadOnlyList<ReadOnlyMemory<byte>> commands)
    {
        var data = new byte[8 + commands.Sum(c => 4 + c.Length)];
        BinaryPrimitives.WriteInt64LittleEndian(data, term);
        var at = 8;
        foreach (var command in commands)
        {
            BinaryPrimitives.WriteInt32LittleEndian(data.AsSpan(at), command.Length);
            command.Span.CopyTo(data.AsSpan(at + 4));
            at += 4 + command.Length;
        }
        return data;
    }

    /// <exception cref="InvalidDataException">It is cut short.</exception>
    public static ForwardedProposals Decode(MemberId from, ReadOnlyMemory<byte> data)
    {
        if (data.Length < 8)
            throw new InvalidDataException("forwarded proposals are cut short");
        var commands = new List<ReadOnlyMemory<byte>>();
        for (var at = 8; at < data.Length;)
        {
            var length = data.Length - at >= 4 ? BinaryPrimitives.ReadInt32LittleEndian(data.Span[at..]) : -1;
            if (length < 0 || length > data.Length - at - 4)
                throw new InvalidDataException("forwarded proposals are cut short");
            commands.Add(data.Slice(at + 4, length));
            at += 4 + length;
        }
        return new ForwardedProposals(from, BinaryPrimitives.ReadInt64LittleEndian(data.Span), commands);
    }
}
