using System.Buffers;
using System.Buffers.Binary;
using Google.Protobuf;

namespace Millrace.Coordination.Grpc.Http2;

/// <summary>One call on an <see cref="Http2Connection"/>.</summary>
/// <remarks>What is marked so belongs to the connection's lock; what comes in is the reader's, what goes out the caller's.</remarks>
internal sealed class Http2Stream(Http2Connection connection, int id, RequestHead head, int sendWindow) : GrpcCall(connection.MaxMessageBytes)
{
    private readonly Lock _gate = new();
    private Queue<byte[]>? _messages;
    private TaskCompletionSource? _reader;
    private TaskCompletionSource? _writer;
    private CancellationTokenSource? _canceled;
    private byte[] _partial = [];
    private int _partialLength;
    private byte[] _unsent = [];
    private int _unsentStart;
    private int _unsentEnd;
    private byte[] _body = [];
    private int _bodyLength;
    private int _hasReturned;
    private bool _isStarted;
    private bool _isInputEnded;
    private bool _isAborted;

    public int Id => id;

    /// <summary>The client has said all. The reader's.</summary>
    public bool HasEnded { get; set; }

    /// <summary>The connection's.</summary>
    public long SendWindow { get; set; } = sendWindow;

    /// <summary>The connection's.</summary>
    public long ReceiveWindow { get; set; } = connection.StreamWindowBytes;

    /// <summary>Used up by the caller and not yet told to the client. The connection's.</summary>
    public int Credit { get; set; }

    /// <summary>The head of the response is on its way. The connection's.</summary>
    public bool HasStarted { get; set; }

    /// <summary>It is answered by a page, which ends without trailers. The connection's.</summary>
    public bool IsPage { get; set; }

    /// <summary>The end is due once all is sent. The connection's.</summary>
    public bool IsEnding { get; set; }

    /// <summary>The connection's.</summary>
    public int Status { get; set; }

    /// <summary>The connection's.</summary>
    public string? StatusMessage { get; set; }

    /// <summary>The end is on its way. The connection's.</summary>
    public bool IsForgotten { get; set; }

    /// <summary>Nobody waits for an answer. The connection's.</summary>
    public bool IsReset { get; set; }

    public bool HasUnsent => _unsentEnd > _unsentStart;

    public int UnsentBytes => _unsentEnd - _unsentStart;

    public override bool IsAborted => Volatile.Read(ref _isAborted);

    public override string Path => head.Path;

    public override CancellationToken Canceled
    {
        get
        {
            lock (_gate)
            {
                if (_canceled is null)
                {
                    _canceled = head.Timeout is { } timeout ? new CancellationTokenSource(timeout, connection.Time) : new CancellationTokenSource();
                    if (_isAborted)
                        _canceled.Cancel();
                }
                return _canceled.Token;
            }
        }
    }

    public override string? CertifiedName => connection.CertifiedName;

    public override string? Metadata(string name) => head.Find(name);

    /// <summary>It is served from now on, and whoever serves it will finish it.</summary>
    public void MarkStarted() => _isStarted = true;

    /// <summary>Bytes of messages have come.</summary>
    public void Receive(ReadOnlySpan<byte> data)
    {
        try
        {
            while (!data.IsEmpty)
            {
                if (_partialLength == 0 && data.Length >= PrefixBytes && LengthOf(data) is var length && data.Length - PrefixBytes >= length)
                {
                    Take(data[0] != 0, data.Slice(PrefixBytes, length));
                    data = data[(PrefixBytes + length)..];
                    continue;
                }
                data = data[Collect(data)..];
            }
        }
        catch (GrpcException error)
        {
            Refuse(error);
        }
    }

    /// <summary>The client has said all.</summary>
    public void ReceiveEnd()
    {
        HasEnded = true;
        if (head.Target is { IsStreaming: false } && !_isStarted)
        {
            Refuse(new GrpcException(
                GrpcCodes.Unknown, _partialLength > 0 ? "unexpected EOF" : "EOF"));
            return;
        }
        TaskCompletionSource? reader;
        lock (_gate)
        {
            _isInputEnded = true;
            reader = _reader;
            _reader = null;
        }
        reader?.TrySetResult();
    }

    /// <summary>The client gave it up.</summary>
    public void Reset()
    {
        connection.Drop(this);
        Abort();
    }

    /// <summary>It is over without an answer.</summary>
    public void Abort()
    {
        TaskCompletionSource? reader;
        TaskCompletionSource? writer;
        CancellationTokenSource? canceled;
        lock (_gate)
        {
            _isAborted = true;
            (reader, writer, canceled) = (_reader, _writer, _canceled);
            (_reader, _writer) = (null, null);
        }
        reader?.TrySetCanceled();
        writer?.TrySetCanceled();
        // Whatever waits for the token runs elsewhere: this is the thread that reads for all.
        if (canceled is not null)
            ThreadPool.UnsafeQueueUserWorkItem(static c => c.Cancel(), canceled, preferLocal: false);
        if (!_isStarted)
            Return();
    }

    public override async ValueTask<T?> ReadAsync<T>(MessageParser<T> parser)
        where T : class
    {
        while (true)
        {
            TaskCompletionSource reader;
            lock (_gate)
            {
                if (_messages is not null && _messages.TryDequeue(out var message))
                {
                    connection.Credit(this, PrefixBytes + message.Length);
                    return Parse(parser, message);
                }
                if (_isAborted)
                    throw new OperationCanceledException("the client went away");
                if (_isInputEnded)
                    return _partialLength == 0 ? null : throw new GrpcException(GrpcCodes.Unknown, "unexpected EOF");
                _reader = reader = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
            await reader.Task.WaitAsync(Canceled).ConfigureAwait(false);
        }
    }

    public override void Write(IMessage message)
    {
        var size = message.CalculateSize();
        message.WriteTo(BeginMessage(size));
        EndMessage(size);
    }

    public override Span<byte> BeginMessage(int size)
    {
        var needed = _bodyLength + PrefixBytes + size;
        if (needed > _body.Length)
            Array.Resize(ref _body, Math.Max(needed, Math.Max(1024, _body.Length * 2)));
        var target = _body.AsSpan(_bodyLength);
        target[0] = 0;
        BinaryPrimitives.WriteInt32BigEndian(target[1..], size);
        return target.Slice(PrefixBytes, size);
    }

    public override void EndMessage(int size) => _bodyLength += PrefixBytes + size;

    public override async ValueTask FlushAsync()
    {
        SendBody();
        if (connection.WhenSent(this) is { } room)
            await room.WaitAsync(Canceled).ConfigureAwait(false);
        if (IsAborted)
            throw new OperationCanceledException("the client went away");
    }

    public override void Respond(IMessage message)
    {
        connection.Respond(this, message);
        Return();
    }

    public override void Finish(int status, string? message)
    {
        SendBody();
        connection.Finish(this, status, message);
        Return();
    }

    /// <summary>Keeps a message until windows allow it. The connection's, as are the next ones.</summary>
    public void AddUnsent(IMessage message, int size)
    {
        var target = Room(PrefixBytes + size);
        target[0] = 0;
        BinaryPrimitives.WriteInt32BigEndian(target[1..], size);
        message.WriteTo(target[PrefixBytes..]);
    }

    public void AddUnsent(ReadOnlySpan<byte> messages) => messages.CopyTo(Room(messages.Length));

    /// <summary>Good until more is added.</summary>
    public ReadOnlySpan<byte> TakeUnsent(int most)
    {
        var part = _unsent.AsSpan(_unsentStart, Math.Min(most, UnsentBytes));
        _unsentStart += part.Length;
        if (_unsentStart == _unsentEnd)
            _unsentStart = _unsentEnd = 0;
        return part;
    }

    public Task WaitForRoom()
    {
        lock (_gate)
        {
            _writer = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _writer.Task;
        }
    }

    public void ReleaseWriter()
    {
        TaskCompletionSource? writer;
        lock (_gate)
        {
            writer = _writer;
            _writer = null;
        }
        writer?.TrySetResult();
    }

    private void SendBody()
    {
        if (_bodyLength == 0)
            return;
        connection.Send(this, _body.AsSpan(0, _bodyLength));
        _bodyLength = 0;
        if (_body.Length > 1 << 20)
            _body = [];
    }

    private Span<byte> Room(int bytes)
    {
        if (_unsent.Length - _unsentEnd < bytes)
        {
            var kept = UnsentBytes;
            var target = kept + bytes > _unsent.Length ? new byte[Math.Max(kept + bytes, _unsent.Length * 2)] : _unsent;
            _unsent.AsSpan(_unsentStart, kept).CopyTo(target);
            (_unsent, _unsentStart, _unsentEnd) = (target, 0, kept);
        }
        _unsentEnd += bytes;
        return _unsent.AsSpan(_unsentEnd - bytes, bytes);
    }

    private int LengthOf(ReadOnlySpan<byte> prefix) => CheckLength(BinaryPrimitives.ReadUInt32BigEndian(prefix[1..]));

    /// <summary>A piece of a message that has not come as a whole; returns how much of it.</summary>
    private int Collect(ReadOnlySpan<byte> data)
    {
        var wanted = _partialLength < PrefixBytes ? PrefixBytes : PrefixBytes + LengthOf(_partial);
        var count = Math.Min(wanted - _partialLength, data.Length);
        // Room grows with what comes, not with what is announced.
        if (_partialLength + count > _partial.Length)
            Array.Resize(ref _partial, Math.Max(_partialLength + count, Math.Min(_partial.Length * 2, PrefixBytes + MaxMessageBytes)));
        data[..count].CopyTo(_partial.AsSpan(_partialLength));
        _partialLength += count;
        connection.Credit(this, count);
        if (_partialLength >= PrefixBytes && _partialLength == PrefixBytes + LengthOf(_partial))
        {
            var length = _partialLength - PrefixBytes;
            _partialLength = 0;
            Take(_partial[0] != 0, _partial.AsSpan(PrefixBytes, length), isCredited: true);
            _partial = [];
        }
        return count;
    }

    private void Take(bool isCompressed, ReadOnlySpan<byte> message, bool isCredited = false)
    {
        if (head.Target is not { } method)
            return;
        var plain = isCompressed ? Decompress(new ReadOnlySequence<byte>(message.ToArray())).ToArray() : null;
        if (!method.IsStreaming)
        {
            // One message is all there may be.
            if (_isStarted)
                return;
            _isStarted = true;
            method.Begin(this, plain ?? message);
            return;
        }
        TaskCompletionSource? reader;
        lock (_gate)
        {
            (_messages ??= new Queue<byte[]>()).Enqueue(plain ?? message.ToArray());
            reader = _reader;
            _reader = null;
        }
        if (isCredited)
            connection.Credit(this, -PrefixBytes - message.Length);
        reader?.TrySetResult();
    }

    /// <summary>What came is no message: the call ends with this, whether it was begun or not.</summary>
    private void Refuse(GrpcException error)
    {
        var wasStarted = _isStarted;
        _isStarted = true;
        connection.Finish(this, error.Code, error.Message);
        if (!wasStarted)
        {
            Return();
            return;
        }
        Abort();
    }

    private void Return()
    {
        if (Interlocked.Exchange(ref _hasReturned, 1) != 0)
            return;
        connection.Returned();
        if (head.Timeout is not null)
        {
            lock (_gate)
                _canceled?.Dispose();
        }
    }
}
