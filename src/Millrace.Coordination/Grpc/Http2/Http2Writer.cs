using System.Buffers.Binary;
using System.Text;

namespace Millrace.Coordination.Grpc.Http2;

/// <summary>The frames that wait to leave, one after another in one buffer, and what the client's table of headers holds of ours.</summary>
internal sealed class Http2Writer
{
    private const int KeptBytes = 256 << 10;
    private const int StaticHeaders = 61;
    private const int OwnTableBytes = 128;
    private const byte Ok = 0x80 | 8;
    private static readonly byte[] ContentType = [0x0F, 0x10, .. Literal("application/grpc")];
    private static readonly byte[] StatusZero = [0x00, .. Literal("grpc-status"), .. Literal("0")];
    private byte[] _buffer = new byte[4 << 10];
    private int _start;
    private int _end;
    private int _inserted;
    private int _contentTypeAt;
    private int _statusAt;
    private bool _mayIndex = true;
    private int _sizeToTell = -1;

    public bool HasUnsent => _end > _start;

    public int UnsentBytes => _end - _start;

    public ReadOnlySpan<byte> Unsent => _buffer.AsSpan(_start.._end);

    public void Sent(int bytes)
    {
        _start += bytes;
        if (_start < _end)
            return;
        _start = _end = 0;
        if (_buffer.Length > KeptBytes)
            _buffer = new byte[4 << 10];
    }

    public void Settings(params ReadOnlySpan<(int Setting, int Value)> settings)
    {
        var target = Frame(4, 0, 0, settings.Length * 6);
        foreach (var (setting, value) in settings)
        {
            BinaryPrimitives.WriteInt16BigEndian(target, (short)setting);
            BinaryPrimitives.WriteInt32BigEndian(target[2..], value);
            target = target[6..];
        }
    }

    /// <summary>Bytes of HTTP/1, on a connection that has nothing else.</summary>
    public void Plain(ReadOnlySpan<byte> bytes)
    {
        if (_buffer.Length - _end < bytes.Length)
            MakeRoom(bytes.Length);
        bytes.CopyTo(_buffer.AsSpan(_end));
        _end += bytes.Length;
    }

    public void SettingsAck() => Frame(4, 1, 0, 0);

    public void Pong(ReadOnlySpan<byte> payload) => payload.CopyTo(Frame(6, 1, 0, 8));

    public void WindowUpdate(int stream, int bytes) => BinaryPrimitives.WriteInt32BigEndian(Frame(8, 0, stream, 4), bytes);

    public void Reset(int stream, Http2Error code) => BinaryPrimitives.WriteInt32BigEndian(Frame(3, 0, stream, 4), (int)code);

    public void GoAway(int lastStream, Http2Error code, string reason)
    {
        var target = Frame(7, 0, 0, 8 + reason.Length);
        BinaryPrimitives.WriteInt32BigEndian(target, lastStream);
        BinaryPrimitives.WriteInt32BigEndian(target[4..], (int)code);
        Encoding.ASCII.GetBytes(reason, target[8..]);
    }

    /// <summary>Where a message of this size, the only one of a frame, is to be written.</summary>
    public Span<byte> Message(int stream, int size)
    {
        var target = Frame(0, 0, stream, GrpcCall.PrefixBytes + size);
        target[0] = 0;
        BinaryPrimitives.WriteInt32BigEndian(target[1..], size);
        return target[GrpcCall.PrefixBytes..];
    }

    public void Data(int stream, ReadOnlySpan<byte> data) => data.CopyTo(Frame(0, 0, stream, data.Length));

    /// <summary>The head of a response with messages.</summary>
    public void Headers(int stream)
    {
        Span<byte> block = stackalloc byte[64];
        var length = BeginBlock(block);
        length += PutContentType(block[length..]);
        block[..length].CopyTo(Frame(1, 4, stream, length));
    }

    /// <summary>The end of a response.</summary>
    public void Trailers(int stream, int status, string? message)
    {
        if (status == 0 && message is null)
        {
            Span<byte> block = stackalloc byte[64];
            var length = BeginBlock(block, isHead: false);
            length += PutIndexed(block[length..], StatusZero, ref _statusAt);
            block[..length].CopyTo(Frame(1, 5, stream, length));
            return;
        }
        Failure(stream, isHead: false, status, message);
    }

    /// <summary>A response without messages.</summary>
    public void OnlyTrailers(int stream, int status, string? message) => Failure(stream, isHead: true, status, message);

    /// <summary>An answer that is not gRPC.</summary>
    public void Status(int stream, int status)
    {
        Span<byte> block = stackalloc byte[16];
        var length = BeginBlock(block, isHead: false);
        length += PutStatus(block[length..], status);
        block[..length].CopyTo(Frame(1, 5, stream, length));
    }

    /// <summary>The head of a page, whose text follows as data.</summary>
    public void PageHead(int stream, HttpPage page)
    {
        var block = new byte[64 + page.ContentType.Length];
        var length = BeginBlock(block, isHead: false);
        length += PutStatus(block.AsSpan(length), page.Status);
        Put(block, ref length, "content-type", page.ContentType);
        block.AsSpan(0, length).CopyTo(Frame(1, 4, stream, length));
    }

    /// <summary>The end of data without more of it.</summary>
    public void EndData(int stream) => Frame(0, 1, stream, 0);

    /// <summary>The client gives its table for our headers this many bytes.</summary>
    public void LimitTable(uint bytes)
    {
        // Our two entries need 104. A smaller table than before must be acknowledged in the next block (RFC 7541, 4.2).
        if (bytes < OwnTableBytes)
            _mayIndex = false;
        if (bytes < 4096)
            _sizeToTell = (int)bytes;
    }

    private void Failure(int stream, bool isHead, int status, string? message)
    {
        var text = message is null ? "" : GrpcText.EncodeMessage(message);
        // One frame, whatever the text.
        if (text.Length > 4096)
            text = text[..4096];
        var block = new byte[128 + text.Length];
        var length = BeginBlock(block, isHead);
        if (isHead)
            length += PutContentType(block.AsSpan(length));
        Put(block, ref length, "grpc-status", status.ToString(System.Globalization.CultureInfo.InvariantCulture));
        if (text.Length > 0)
            Put(block, ref length, "grpc-message", text);
        block.AsSpan(0, length).CopyTo(Frame(1, 5, stream, length));
    }

    private int BeginBlock(Span<byte> block, bool isHead = true)
    {
        var length = 0;
        if (_sizeToTell >= 0)
        {
            length = PutInteger(block, 0x20, 5, _sizeToTell);
            _sizeToTell = -1;
        }
        if (isHead)
            block[length++] = Ok;
        return length;
    }

    private static int PutStatus(Span<byte> block, int status)
    {
        // Literal, without a place in the table, with the static name :status.
        block[0] = 8;
        block[1] = 3;
        Encoding.ASCII.GetBytes(status.ToString(System.Globalization.CultureInfo.InvariantCulture), block[2..]);
        return 5;
    }

    private int PutContentType(Span<byte> block) => PutIndexed(block, ContentType, ref _contentTypeAt);

    /// <summary>The first time it is put into the client's table, then it is one byte.</summary>
    private int PutIndexed(Span<byte> block, byte[] literal, ref int insertedAt)
    {
        if (insertedAt > 0 && _mayIndex)
        {
            block[0] = (byte)(0x80 | (StaticHeaders + 1 + _inserted - insertedAt));
            return 1;
        }
        if (!_mayIndex)
        {
            literal.CopyTo(block);
            return literal.Length;
        }
        insertedAt = ++_inserted;
        if (literal[0] == 0x0F)
        {
            // content-type is name 31 of the static table: six bits hold it, where the literal without a place has four.
            block[0] = 0x40 | 31;
            literal.AsSpan(2).CopyTo(block[1..]);
            return literal.Length - 1;
        }
        literal.CopyTo(block);
        block[0] = 0x40;
        return literal.Length;
    }

    private static void Put(byte[] block, ref int length, string name, string value)
    {
        block[length++] = 0;
        length += PutInteger(block.AsSpan(length), 0, 7, name.Length);
        length += Encoding.ASCII.GetBytes(name, block.AsSpan(length));
        length += PutInteger(block.AsSpan(length), 0, 7, value.Length);
        length += Encoding.ASCII.GetBytes(value, block.AsSpan(length));
    }

    private static int PutInteger(Span<byte> target, byte flags, int prefix, int value)
    {
        var most = (1 << prefix) - 1;
        if (value < most)
        {
            target[0] = (byte)(flags | value);
            return 1;
        }
        target[0] = (byte)(flags | most);
        value -= most;
        var at = 1;
        for (; value >= 0x80; value >>= 7)
            target[at++] = (byte)(0x80 | (value & 0x7F));
        target[at++] = (byte)value;
        return at;
    }

    private static byte[] Literal(string text) => [(byte)text.Length, .. Encoding.ASCII.GetBytes(text)];

    private Span<byte> Frame(byte type, byte flags, int stream, int length)
    {
        var needed = Http2Connection.FrameHeaderBytes + length;
        if (_buffer.Length - _end < needed)
            MakeRoom(needed);
        var header = _buffer.AsSpan(_end);
        header[0] = (byte)(length >> 16);
        header[1] = (byte)(length >> 8);
        header[2] = (byte)length;
        header[3] = type;
        header[4] = flags;
        BinaryPrimitives.WriteInt32BigEndian(header[5..], stream);
        _end += needed;
        return _buffer.AsSpan(_end - length, length);
    }

    private void MakeRoom(int needed)
    {
        var kept = _end - _start;
        var target = kept + needed > _buffer.Length ? new byte[Math.Max(kept + needed, _buffer.Length * 2)] : _buffer;
        _buffer.AsSpan(_start, kept).CopyTo(target);
        (_buffer, _start, _end) = (target, 0, kept);
    }
}
