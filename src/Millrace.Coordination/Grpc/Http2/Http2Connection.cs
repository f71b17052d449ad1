using System.Buffers.Binary;
using System.Text;
using Google.Protobuf;

namespace Millrace.Coordination.Grpc.Http2;

/// <summary>What carries a connection's bytes.</summary>
internal interface IHttp2Transport
{
    /// <summary>Sends without waiting; returns how much was taken, 0 when nothing can be now, -1 when the connection is broken.</summary>
    int Send(ReadOnlySpan<byte> data);

    /// <summary>Whether to be told when something can be sent again, and whether to read meanwhile.</summary>
    void Watch(bool write, bool read);

    /// <summary>Ends the connection; the reader hears of it as of any end.</summary>
    void Shutdown();
}

/// <summary>
/// The server's side of one HTTP/2 connection (RFC 9113), as much of it as gRPC needs: bytes go in, calls come out, and answers go back
/// as soon as windows allow. It knows no socket and no thread.
/// </summary>
/// <remarks>
/// <see cref="Buffer"/>, <see cref="Received"/> and <see cref="Closed"/> are for one thread, the reader; all else for any. Several frames
/// leave with one <see cref="Flush"/>, at the end of the thread's <see cref="OutputBatch"/> if it has one.
/// </remarks>
internal sealed class Http2Connection : IBatched
{
    public const int FrameHeaderBytes = 9;
    public const int MaxFrameBytes = 16 << 10;
    private const byte EndStream = 1;
    private const byte EndHeaders = 4;
    private const byte Padded = 8;
    private const byte Priority = 32;
    private static readonly byte[] Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray();

    private readonly Lock _lock = new();
    private readonly IHttp2Transport _transport;
    private readonly ConnectionLimits _limits;
    private readonly GrpcServer _server;
    private readonly HpackDecoder _decoder;
    private readonly Dictionary<int, Http2Stream> _streams = [];
    private readonly List<Http2Stream> _starved = [];
    private readonly List<Http2Stream> _writers = [];
    private readonly List<HeaderField> _fields = [];
    private readonly HeadCache _heads = new();
    private readonly Http2Writer _out = new();
    private byte[] _in = new byte[32 << 10];
    private int _inStart;
    private int _inEnd;
    private byte[]? _block;
    private int _blockLength;
    private int _blockStream;
    private byte _blockFlags;
    private bool _hasPreface;
    private bool _isPlain;
    private bool _endsWhenSent;
    private int _lastStream;
    private int _running;
    private long _receiveWindow;
    private long _consumed;
    private long _sendWindow = 65_535;
    private int _peerStreamWindow = 65_535;
    private int _peerMaxFrame = MaxFrameBytes;
    private int _isFlushQueued;
    private bool _isBlocked;
    private bool _isWatched;
    private bool _isReadPaused;
    private bool _isGoingAway;
    private bool _isClosed;
    private ulong _heldPong;
    private bool _holdsPong;

    public Http2Connection(IHttp2Transport transport, ConnectionLimits limits, GrpcServer server)
    {
        _transport = transport;
        _limits = limits;
        _server = server;
        _decoder = new HpackDecoder(limits.MaxHeaderListBytes);
        _receiveWindow = limits.ConnectionWindowBytes;
    }

    public TimeProvider Time => _server.Time;

    /// <summary>The name in the certificate that the client proved to have; null without one.</summary>
    public string? CertifiedName { get; set; }

    public int MaxMessageBytes => _limits.MaxMessageBytes;

    public int StreamWindowBytes => _limits.StreamWindowBytes;

    /// <summary>The client has said what it wants.</summary>
    public bool HasPreface => _hasPreface;

    /// <summary>
    /// The answer to a ping waits to leave with something else. gRPC clients ping with almost every answer that they get, to measure the network,
    /// and a packet of its own for each costs both sides as much as the next answer does.
    /// </summary>
    public bool HoldsPong => Volatile.Read(ref _holdsPong);

    /// <summary>Since when, by the provider's timestamps. The reader.</summary>
    public long HoldsPongSince { get; private set; }

    /// <summary>No call is under way.</summary>
    public bool IsIdle => Volatile.Read(ref _running) == 0;

    /// <summary>Where the next bytes belong.</summary>
    public Memory<byte> Buffer
    {
        get
        {
            if (_inStart > 0)
            {
                _in.AsSpan(_inStart.._inEnd).CopyTo(_in);
                _inEnd -= _inStart;
                _inStart = 0;
            }
            return _in.AsMemory(_inEnd);
        }
    }

    /// <summary>So many bytes have come into <see cref="Buffer"/>. False when the connection must end, once the rest is sent.</summary>
    public bool Received(int count)
    {
        _inEnd += count;
        try
        {
            TakeFrames();
        }
        catch (Http2Exception error)
        {
            lock (_lock)
            {
                _isGoingAway = true;
                _out.GoAway(_lastStream, error.Code, error.Message);
            }
            Flush();
            return false;
        }
        // Credits and answers to settings and pings, which no call sends.
        if (_out.HasUnsent)
            QueueFlush();
        return true;
    }

    /// <summary>The connection has ended: so do its calls.</summary>
    public void Closed()
    {
        Http2Stream[] streams;
        lock (_lock)
        {
            if (_isClosed)
                return;
            _isClosed = true;
            streams = [.. _streams.Values];
            _streams.Clear();
            _starved.Clear();
            _writers.Clear();
        }
        foreach (var stream in streams)
            stream.Abort();
    }

    /// <summary>No new calls; those under way may end.</summary>
    public void GoAway()
    {
        lock (_lock)
        {
            if (_isGoingAway || _isClosed)
                return;
            _isGoingAway = true;
            _out.GoAway(_lastStream, Http2Error.None, "");
        }
        Flush();
    }

    /// <summary>Something can be sent again.</summary>
    public void Writable()
    {
        lock (_lock)
            _isBlocked = false;
        Flush();
    }

    void IBatched.EndBatch() => Flush();

    /// <summary>Sends the answer to a ping that nothing else took along.</summary>
    public void FlushPong()
    {
        lock (_lock)
            TakePongAlong();
        Flush();
    }

    /// <summary>Sends what waits, as much as the network takes now.</summary>
    public void Flush()
    {
        lock (_lock)
        {
            _isFlushQueued = 0;
            if (_isClosed || _isBlocked)
                return;
            if (_out.HasUnsent)
                TakePongAlong();
            while (_out.HasUnsent)
            {
                var sent = _transport.Send(_out.Unsent);
                if (sent < 0)
                {
                    _transport.Shutdown();
                    return;
                }
                if (sent == 0)
                {
                    _isBlocked = true;
                    break;
                }
                _out.Sent(sent);
            }
            if (_endsWhenSent && !_out.HasUnsent)
            {
                _transport.Shutdown();
                return;
            }
            var mustPause = _out.UnsentBytes > _limits.MaxUnsentBytes;
            if (_isBlocked != _isWatched || mustPause != _isReadPaused)
            {
                _isReadPaused = mustPause;
                _isWatched = _isBlocked;
                _transport.Watch(_isBlocked, !mustPause);
            }
            ReleaseWriters();
        }
    }

    /// <summary>The only message and the good end of a call.</summary>
    public void Respond(Http2Stream stream, IMessage message)
    {
        lock (_lock)
        {
            if (!Owns(stream))
                return;
            var size = message.CalculateSize();
            var total = size + GrpcCall.PrefixBytes;
            if (stream.HasUnsent || total > Math.Min(_peerMaxFrame, Math.Min(_sendWindow, stream.SendWindow)))
            {
                stream.AddUnsent(message, size);
                End(stream, GrpcCodes.Ok, null);
            }
            else
            {
                Open(stream);
                message.WriteTo(_out.Message(stream.Id, size));
                _sendWindow -= total;
                stream.SendWindow -= total;
                _out.Trailers(stream.Id, GrpcCodes.Ok, null);
                Forget(stream);
            }
        }
        QueueFlush();
    }

    /// <summary>Messages of a call that has more to say.</summary>
    public void Send(Http2Stream stream, ReadOnlySpan<byte> messages)
    {
        lock (_lock)
        {
            if (!Owns(stream))
                return;
            stream.AddUnsent(messages);
            Pump(stream);
        }
        QueueFlush();
    }

    /// <summary>The end of a call, after what it has sent.</summary>
    public void Finish(Http2Stream stream, int status, string? message)
    {
        lock (_lock)
        {
            if (!Owns(stream))
                return;
            End(stream, status, message);
        }
        QueueFlush();
    }

    /// <summary>Null when all of a call that waits is on its way, or the backlog is small.</summary>
    public Task? WhenSent(Http2Stream stream)
    {
        lock (_lock)
        {
            if (!Owns(stream) || !IsBehind(stream))
                return null;
            _writers.Add(stream);
            return stream.WaitForRoom();
        }
    }

    /// <summary>The reader has used this much of a call's bytes.</summary>
    public void Credit(Http2Stream stream, int bytes)
    {
        lock (_lock)
        {
            if (stream.HasEnded || !Owns(stream))
                return;
            stream.Credit += bytes;
            if (stream.Credit < _limits.StreamWindowBytes / 2)
                return;
            _out.WindowUpdate(stream.Id, stream.Credit);
            stream.ReceiveWindow += stream.Credit;
            stream.Credit = 0;
        }
        QueueFlush();
    }

    /// <summary>The function that served a call has returned, whether anybody still wanted its answer or not.</summary>
    public void Returned() => Interlocked.Decrement(ref _running);

    private bool Owns(Http2Stream stream) => !_isClosed && !stream.IsReset && !stream.IsForgotten;

    private void QueueFlush()
    {
        if (Interlocked.Exchange(ref _isFlushQueued, 1) == 0 && !OutputBatch.Add(this))
            Flush();
    }

    private void TakeFrames()
    {
        if (!_hasPreface && !TakePreface())
            return;
        if (_isPlain)
        {
            // One answer is all that such a client gets.
            _inStart = _inEnd = 0;
            return;
        }
        while (_inEnd - _inStart >= FrameHeaderBytes)
        {
            var header = _in.AsSpan(_inStart, FrameHeaderBytes);
            var length = (header[0] << 16) | (header[1] << 8) | header[2];
            if (length > MaxFrameBytes)
                throw new Http2Exception(Http2Error.FrameSize, $"a frame of {length} bytes; {MaxFrameBytes} are allowed");
            if (_inEnd - _inStart < FrameHeaderBytes + length)
                return;
            var id = (int)(BinaryPrimitives.ReadUInt32BigEndian(header[5..]) & int.MaxValue);
            _inStart += FrameHeaderBytes + length;
            TakeFrame(header[3], header[4], id, _in.AsSpan(_inStart - length, length));
        }
    }

    /// <summary>How a client begins: with what HTTP/2 begins with, or with a request of HTTP/1 for one of the pages.</summary>
    private bool TakePreface()
    {
        var begin = _in.AsSpan(_inStart.._inEnd);
        var got = Math.Min(begin.Length, Preface.Length);
        if (begin[..got].SequenceEqual(Preface.AsSpan(0, got)))
        {
            if (got < Preface.Length)
                return false;
            _hasPreface = true;
            _inStart += got;
            lock (_lock)
            {
                _out.Settings((3, _limits.MaxStreams), (4, _limits.StreamWindowBytes), (6, _limits.MaxHeaderListBytes));
                _out.WindowUpdate(0, _limits.ConnectionWindowBytes - 65_535);
            }
            return true;
        }
        var line = begin.IndexOf("\r\n"u8);
        if (begin.Length > _limits.MaxPlainHeadBytes || !MayBeText(line < 0 ? begin.TrimEnd((byte)'\r') : begin[..line]))
            throw new Http2Exception(Http2Error.Protocol, "this port speaks HTTP/2, as gRPC does, and HTTP/1.1 for its pages; TLS where it is set");
        if (begin.IndexOf("\r\n\r\n"u8) < 0)
            return false;
        var words = Encoding.ASCII.GetString(begin[..line]).Split(' ');
        if (words is not [var method, var target, "HTTP/1.1" or "HTTP/1.0"])
            throw new Http2Exception(Http2Error.Protocol, "a request of HTTP/1 that is none");
        _hasPreface = _isPlain = true;
        Interlocked.Increment(ref _running);
        _ = Task.Run(() => AnswerAsync(method, target));
        return true;
    }

    private static bool MayBeText(ReadOnlySpan<byte> line) => !line.ContainsAnyExceptInRange((byte)' ', (byte)'~');

    private async Task AnswerAsync(string method, string target)
    {
        var page = await _server.PageAsync(method, target).ConfigureAwait(false);
        lock (_lock)
        {
            _out.Plain(page.Encode(hasBody: method != "HEAD"));
            _endsWhenSent = true;
        }
        Returned();
        Flush();
    }

    /// <summary>A page on a connection that also carries calls, as TLS has it where the client takes HTTP/2.</summary>
    private async Task AnswerAsync(Http2Stream stream, string method, string target)
    {
        var page = await _server.PageAsync(method, target).ConfigureAwait(false);
        lock (_lock)
        {
            if (Owns(stream))
            {
                _out.PageHead(stream.Id, page);
                stream.HasStarted = stream.IsPage = stream.IsEnding = true;
                if (method != "HEAD")
                    stream.AddUnsent(Encoding.UTF8.GetBytes(page.Body));
                Pump(stream);
            }
        }
        Returned();
        Flush();
    }

    private void TakeFrame(byte type, byte flags, int id, ReadOnlySpan<byte> payload)
    {
        if (_block is not null && (type != 9 || id != _blockStream))
            throw new Http2Exception(Http2Error.Protocol, "a block of headers is interrupted");
        switch (type)
        {
            case 0:
                TakeData(flags, id, payload);
                break;
            case 1:
                payload = Unpad(flags, payload);
                if ((flags & Priority) != 0)
                    payload = payload.Length >= 5 ? payload[5..] : throw new Http2Exception(Http2Error.FrameSize, "headers are cut short");
                BeginBlock(flags, id, payload);
                break;
            case 2:
                Require(payload.Length == 5 && id != 0, Http2Error.FrameSize, "a malformed priority");
                break;
            case 3:
                Require(payload.Length == 4, Http2Error.FrameSize, "a malformed reset");
                Require(id != 0 && id <= _lastStream, Http2Error.Protocol, "a reset of no call");
                Find(id)?.Reset();
                break;
            case 4:
                TakeSettings(flags, id, payload);
                break;
            case 5:
                throw new Http2Exception(Http2Error.Protocol, "a client promises nothing");
            case 6:
                Require(payload.Length == 8, Http2Error.FrameSize, "a malformed ping");
                Require(id == 0, Http2Error.Protocol, "a ping within a call");
                if ((flags & 1) == 0)
                    TakePing(BinaryPrimitives.ReadUInt64LittleEndian(payload));
                break;
            case 7:
                // It wants no more; what is under way may end.
                break;
            case 8:
                TakeWindowUpdate(id, payload);
                break;
            case 9:
                Require(_block is not null, Http2Error.Protocol, "a continuation of nothing");
                ContinueBlock(flags, payload);
                break;
        }
    }

    private void TakePing(ulong data)
    {
        lock (_lock)
        {
            TakePongAlong();
            _heldPong = data;
            _holdsPong = true;
            HoldsPongSince = Time.GetTimestamp();
        }
    }

    private void TakePongAlong()
    {
        if (!_holdsPong)
            return;
        _holdsPong = false;
        Span<byte> data = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(data, _heldPong);
        _out.Pong(data);
    }

    private static void Require(bool holds, Http2Error code, string message)
    {
        if (!holds)
            throw new Http2Exception(code, message);
    }

    private static ReadOnlySpan<byte> Unpad(byte flags, ReadOnlySpan<byte> payload)
    {
        if ((flags & Padded) == 0)
            return payload;
        Require(payload.Length > 0 && payload[0] < payload.Length, Http2Error.Protocol, "more padding than frame");
        return payload[1..^payload[0]];
    }

    private void BeginBlock(byte flags, int id, ReadOnlySpan<byte> payload)
    {
        Require(id % 2 == 1, Http2Error.Protocol, "a client's calls have odd numbers");
        if ((flags & EndHeaders) != 0)
        {
            TakeHeaders(id, flags, payload);
            return;
        }
        _blockStream = id;
        _blockFlags = flags;
        _blockLength = 0;
        _block = new byte[_limits.MaxHeaderBlockBytes];
        ContinueBlock(0, payload);
    }

    private void ContinueBlock(byte flags, ReadOnlySpan<byte> payload)
    {
        var isEnd = (flags & EndHeaders) != 0;
        // An empty piece that is not the end is work without progress.
        Require(
            payload.Length <= _block!.Length - _blockLength && (payload.Length > 0 || isEnd || _blockLength == 0), Http2Error.EnhanceYourCalm,
            $"a block of headers of more than {_block.Length} bytes (MaxHeaderBlockBytes)");
        payload.CopyTo(_block.AsSpan(_blockLength));
        _blockLength += payload.Length;
        if (!isEnd)
            return;
        var block = _block.AsSpan(0, _blockLength);
        _block = null;
        TakeHeaders(_blockStream, _blockFlags, block);
    }

    private void TakeHeaders(int id, byte flags, ReadOnlySpan<byte> block)
    {
        Require(block.Length <= _limits.MaxHeaderBlockBytes, Http2Error.EnhanceYourCalm, $"a block of headers of more than {_limits.MaxHeaderBlockBytes} bytes");
        var isEnd = (flags & EndStream) != 0;
        if (id <= _lastStream)
        {
            // Trailers; of a call that is over they still belong to the table.
            _fields.Clear();
            _decoder.Decode(block, _fields);
            Require(isEnd, Http2Error.Protocol, "trailers do not end a call");
            Find(id)?.ReceiveEnd();
            return;
        }
        _lastStream = id;
        var head = HeadOf(block);
        Http2Stream stream;
        lock (_lock)
        {
            if (_isGoingAway)
                return;
            if (Volatile.Read(ref _running) >= _limits.MaxStreams)
            {
                _out.Reset(id, Http2Error.RefusedStream);
                return;
            }
            stream = new Http2Stream(this, id, head, _peerStreamWindow) { HasEnded = isEnd };
            _streams.Add(id, stream);
            if (head.HttpStatus != 200 && head.PageMethod is null)
            {
                _out.Status(id, head.HttpStatus);
                Forget(stream);
                return;
            }
            Interlocked.Increment(ref _running);
        }
        if (head.PageMethod is not null)
        {
            _ = Task.Run(() => AnswerAsync(stream, head.PageMethod, head.Path));
            return;
        }
        _server.Begin(stream, head);
        if (isEnd)
            stream.ReceiveEnd();
    }

    private RequestHead HeadOf(ReadOnlySpan<byte> block)
    {
        if (_heads.Find(block, _decoder.Generation) is { } known)
            return known;
        var generation = _decoder.Generation;
        _fields.Clear();
        _decoder.Decode(block, _fields);
        var head = new RequestHead([.. _fields], _server.Find);
        if (_decoder.Generation == generation)
            _heads.Add(block, generation, head);
        return head;
    }

    private void TakeData(byte flags, int id, ReadOnlySpan<byte> payload)
    {
        Require(id != 0 && id <= _lastStream, Http2Error.Protocol, "data of no call");
        var bytes = payload.Length;
        _receiveWindow -= bytes;
        Require(_receiveWindow >= 0, Http2Error.FlowControl, "more data than the connection's window");
        _consumed += bytes;
        if (_consumed >= _limits.ConnectionWindowBytes / 2)
        {
            // What is kept is bounded by the windows of calls.
            lock (_lock)
                _out.WindowUpdate(0, (int)_consumed);
            _receiveWindow += _consumed;
            _consumed = 0;
        }
        payload = Unpad(flags, payload);
        if (Find(id) is not { } stream)
            return;
        Require(!stream.HasEnded, Http2Error.StreamClosed, "data after the end of a call");
        lock (_lock)
            stream.ReceiveWindow -= bytes;
        Require(stream.ReceiveWindow >= 0, Http2Error.FlowControl, "more data than a call's window");
        var isEnd = (flags & EndStream) != 0;
        stream.HasEnded = isEnd;
        if (bytes > payload.Length)
            Credit(stream, bytes - payload.Length);
        if (payload.Length > 0)
            stream.Receive(payload);
        if (isEnd)
            stream.ReceiveEnd();
    }

    private void TakeSettings(byte flags, int id, ReadOnlySpan<byte> payload)
    {
        Require(id == 0, Http2Error.Protocol, "settings within a call");
        Require(payload.Length % 6 == 0 && ((flags & 1) == 0 || payload.IsEmpty), Http2Error.FrameSize, "malformed settings");
        if ((flags & 1) != 0)
            return;
        lock (_lock)
        {
            for (; !payload.IsEmpty; payload = payload[6..])
                Apply(BinaryPrimitives.ReadUInt16BigEndian(payload), BinaryPrimitives.ReadUInt32BigEndian(payload[2..]));
            _out.SettingsAck();
            PumpAll();
        }
    }

    private void Apply(int setting, uint value)
    {
        switch (setting)
        {
            case 1:
                _out.LimitTable(value);
                break;
            case 4:
                Require(value <= int.MaxValue, Http2Error.FlowControl, "a window of more than 2^31 - 1 bytes");
                foreach (var stream in _streams.Values)
                    stream.SendWindow += (int)value - _peerStreamWindow;
                _peerStreamWindow = (int)value;
                break;
            case 5:
                Require(value is >= 16_384 and <= 16_777_215, Http2Error.Protocol, "a frame size out of range");
                // Larger frames save nothing that matters.
                _peerMaxFrame = (int)Math.Min(value, MaxFrameBytes);
                break;
        }
    }

    private void TakeWindowUpdate(int id, ReadOnlySpan<byte> payload)
    {
        Require(payload.Length == 4, Http2Error.FrameSize, "a malformed window update");
        var more = (int)(BinaryPrimitives.ReadUInt32BigEndian(payload) & int.MaxValue);
        Require(more > 0, Http2Error.Protocol, "a window update of nothing");
        Require(id <= _lastStream, Http2Error.Protocol, "a window update of no call");
        lock (_lock)
        {
            if (id == 0)
            {
                _sendWindow += more;
                Require(_sendWindow <= int.MaxValue, Http2Error.FlowControl, "the connection's window passes 2^31 - 1");
                PumpAll();
            }
            else if (_streams.TryGetValue(id, out var stream))
            {
                stream.SendWindow += more;
                Require(stream.SendWindow <= int.MaxValue, Http2Error.FlowControl, "a call's window passes 2^31 - 1");
                Pump(stream);
            }
        }
    }

    private Http2Stream? Find(int id)
    {
        lock (_lock)
            return _streams.GetValueOrDefault(id);
    }

    private void Open(Http2Stream stream)
    {
        if (stream.HasStarted)
            return;
        stream.HasStarted = true;
        _out.Headers(stream.Id);
    }

    private void End(Http2Stream stream, int status, string? message)
    {
        stream.Status = status;
        stream.StatusMessage = message;
        stream.IsEnding = true;
        Pump(stream);
    }

    /// <summary>Sends what the windows allow, then the end if it is time.</summary>
    private void Pump(Http2Stream stream)
    {
        while (stream.HasUnsent)
        {
            var most = (int)Math.Min(Math.Min(_sendWindow, stream.SendWindow), _peerMaxFrame);
            if (most <= 0)
            {
                if (!_starved.Contains(stream))
                    _starved.Add(stream);
                return;
            }
            Open(stream);
            var part = stream.TakeUnsent(most);
            _out.Data(stream.Id, part);
            _sendWindow -= part.Length;
            stream.SendWindow -= part.Length;
        }
        if (stream.IsEnding)
        {
            if (stream.IsPage)
                _out.EndData(stream.Id);
            else if (stream.HasStarted)
                _out.Trailers(stream.Id, stream.Status, stream.StatusMessage);
            else
                _out.OnlyTrailers(stream.Id, stream.Status, stream.StatusMessage);
            Forget(stream);
        }
    }

    private void PumpAll()
    {
        if (_starved.Count == 0)
            return;
        var starved = _starved.ToArray();
        _starved.Clear();
        foreach (var stream in starved)
        {
            if (Owns(stream))
                Pump(stream);
        }
    }

    private void Forget(Http2Stream stream)
    {
        stream.IsForgotten = true;
        _streams.Remove(stream.Id);
        // The client has more to say that nobody wants to hear.
        if (!stream.HasEnded)
            _out.Reset(stream.Id, Http2Error.None);
    }

    /// <summary>The client gave a call up, or it must end without an answer.</summary>
    public void Drop(Http2Stream stream)
    {
        lock (_lock)
        {
            stream.IsReset = true;
            _streams.Remove(stream.Id);
            _starved.Remove(stream);
            _writers.Remove(stream);
        }
    }

    private bool IsBehind(Http2Stream stream) => stream.UnsentBytes > 64 << 10 || _out.UnsentBytes > _limits.MaxUnsentBytes / 2;

    private void ReleaseWriters()
    {
        for (var i = _writers.Count - 1; i >= 0; i--)
        {
            if (IsBehind(_writers[i]))
                continue;
            _writers[i].ReleaseWriter();
            _writers.RemoveAt(i);
        }
    }
}
