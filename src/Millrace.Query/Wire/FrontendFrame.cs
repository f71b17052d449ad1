using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Millrace.Query.Wire;

/// <summary>A client that does not speak the protocol: the connection ends with this reason.</summary>
internal sealed class ProtocolException(string message, string sqlState = SqlStates.ProtocolViolation) : Exception(message)
{
    public string SqlState { get; } = sqlState;
}

/// <summary>One message from the client: its tag (0 for the untagged first ones) and its body without length.</summary>
internal readonly record struct FrontendFrame(byte Tag, ReadOnlyMemory<byte> Body)
{
    public const byte Bind = (byte)'B';
    public const byte Close = (byte)'C';
    public const byte CopyData = (byte)'d';
    public const byte CopyDone = (byte)'c';
    public const byte CopyFail = (byte)'f';
    public const byte Describe = (byte)'D';
    public const byte Execute = (byte)'E';
    public const byte Flush = (byte)'H';
    public const byte FunctionCall = (byte)'F';
    public const byte Parse = (byte)'P';
    public const byte Password = (byte)'p';
    public const byte Query = (byte)'Q';
    public const byte Sync = (byte)'S';
    public const byte Terminate = (byte)'X';

    /// <summary>PostgreSQL's own bound of a start-up packet (MAX_STARTUP_PACKET_LENGTH).</summary>
    public const int MaxStartupBytes = 10_000;

    /// <summary>
    /// Cuts the next message off the front of <paramref name="buffer"/>; false when it is not there whole yet. Pure.
    /// </summary>
    /// <param name="buffer">Moved behind the message when there is one.</param>
    /// <param name="tagged">False for the first messages of a connection, which have no tag.</param>
    /// <param name="most">The longest body that is taken.</param>
    /// <exception cref="ProtocolException">The length is impossible or passes <paramref name="most"/>, or the tag is unknown.</exception>
    public static bool TryRead(ref ReadOnlySequence<byte> buffer, bool tagged, int most, out FrontendFrame frame)
    {
        frame = default;
        var header = tagged ? 5 : 4;
        if (buffer.Length < 1)
            return false;
        Span<byte> head = stackalloc byte[5];
        var seen = (int)Math.Min(header, buffer.Length);
        buffer.Slice(0, seen).CopyTo(head);
        // An unknown tag is told at its first byte: what follows cannot be trusted to be a length.
        if (tagged && !IsKnown(head[0]))
            throw new ProtocolException($"invalid frontend message type {head[0]}");
        if (seen < header)
            return false;
        var length = BinaryPrimitives.ReadInt32BigEndian(head[(header - 4)..]);
        if (length < 4 || (!tagged && length < 8))
            throw new ProtocolException($"invalid message length {length}");
        if (length - 4 > most)
        {
            throw new ProtocolException(
                $"a message of {length} bytes passes the limit of {most}", tagged ? SqlStates.LimitExceeded : SqlStates.ProtocolViolation);
        }
        var whole = header - 4 + (long)length;
        if (buffer.Length < whole)
            return false;
        var body = buffer.Slice(header, length - 4);
        frame = new FrontendFrame(tagged ? head[0] : (byte)0, body.IsSingleSegment ? body.First : body.ToArray());
        buffer = buffer.Slice(whole);
        return true;
    }

    private static bool IsKnown(byte tag) => tag is Bind or Close or CopyData or CopyDone or CopyFail or Describe or Execute or Flush
        or FunctionCall or Parse or Password or Query or Sync or Terminate;
}

/// <summary>Reads the fields of one message's body; every read past the end is a protocol violation.</summary>
internal ref struct FrameReader(ReadOnlySpan<byte> body)
{
    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    private ReadOnlySpan<byte> _rest = body;

    public readonly bool AtEnd => _rest.IsEmpty;

    public byte ReadByte() => Take(1)[0];

    public short ReadInt16() => BinaryPrimitives.ReadInt16BigEndian(Take(2));

    public int ReadInt32() => BinaryPrimitives.ReadInt32BigEndian(Take(4));

    public ReadOnlySpan<byte> ReadBytes(int count) => Take(count);

    public string ReadCString()
    {
        var end = _rest.IndexOf((byte)0);
        if (end < 0)
            throw new ProtocolException("invalid string in message");
        var text = Text(_rest[..end]);
        _rest = _rest[(end + 1)..];
        return text;
    }

    /// <summary>The number of items that follow; each takes at least <paramref name="itemBytes"/>, which bounds it.</summary>
    public int ReadCount(int itemBytes)
    {
        var count = (ushort)ReadInt16();
        if ((long)count * itemBytes > _rest.Length)
            throw new ProtocolException("insufficient data left in message");
        return count;
    }

    public readonly void ExpectEnd()
    {
        if (!_rest.IsEmpty)
            throw new ProtocolException("invalid message format: bytes are left over");
    }

    /// <summary>UTF-8 decoded strictly.</summary>
    /// <exception cref="ProtocolException">The bytes are not UTF-8.</exception>
    public static string Text(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return Strict.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw new ProtocolException("invalid byte sequence for encoding \"UTF8\"", "22021");
        }
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count < 0 || count > _rest.Length)
            throw new ProtocolException("insufficient data left in message");
        var taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
