using System.Buffers;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Wire;

namespace Millrace.Log.Server;

/// <summary>One request frame in pooled memory, counted against the broker's request memory until released.</summary>
internal sealed class Frame(byte[] bytes, int length, ByteBudget budget)
{
    private byte[]? _bytes = bytes;

    public int Length { get; } = length;

    /// <summary>Valid until <see cref="Release"/>.</summary>
    public Memory<byte> Memory => _bytes.AsMemory(0, Length);

    public void Release()
    {
        if (Interlocked.Exchange(ref _bytes, null) is not { } rented)
            return;
        ArrayPool<byte>.Shared.Return(rented);
        budget.Release(Length);
    }
}

/// <summary>A request and its answer to come. Answers are sent in the order of requests.</summary>
internal sealed class Exchange(Connection connection, ApiKey key, short version, int correlationId, string? clientId, Frame frame, int bodyFrom)
{
    private volatile bool _done;
    private int _completed;
    private TaskCompletionSource? _finished;
    private List<byte[]>? _rented;
    private ByteBudget? _budget;
    private long _budgetBytes;

    public Connection Connection { get; } = connection;

    public ApiKey Key { get; } = key;

    public short Version { get; } = version;

    public int CorrelationId { get; } = correlationId;

    public string? ClientId { get; } = clientId;

    public Frame Frame { get; } = frame;

    /// <summary>Null when there is nothing to answer: Produce with acks 0.</summary>
    public IWireStruct? Response { get; private set; }

    public bool IsDone => _done;

    /// <summary>The version that the answer is written in: the request's, but for an ApiVersions request of an unknown one.</summary>
    public short ResponseVersion { get; set; } = version;

    /// <summary>Changes the answer before it is sent: what was refused, how long the client must wait.</summary>
    public Action<IWireStruct>? Amend { get; set; }

    /// <summary>Set when the connection must end after the answer, and why.</summary>
    public string? CloseAfterSend { get; set; }

    /// <summary>The request's body, valid until the exchange is released.</summary>
    public Memory<byte> Body => Frame.Memory[bodyFrom..];

    /// <summary>Gives back a pooled array once the response has been sent.</summary>
    public void ReturnAfterSend(byte[] rented) => (_rented ??= []).Add(rented);

    /// <summary>Gives back a share of a budget once the response has been sent.</summary>
    public void OnRelease(ByteBudget budget, long bytes) => (_budget, _budgetBytes) = (budget, bytes);

    /// <summary>The answer is ready, or there is none. Any thread; only the first call counts.</summary>
    public void Complete(IWireStruct? response)
    {
        // A connection that closes completes what it waits for; whoever worked on it then comes second.
        if (Interlocked.Exchange(ref _completed, 1) != 0)
            return;
        if (response is not null)
            Amend?.Invoke(response);
        Response = response;
        _done = true;
        Volatile.Read(ref _finished)?.TrySetResult();
        Connection.Pump();
    }

    /// <summary>Waits until the answer is ready.</summary>
    /// <exception cref="OperationCanceledException">The connection has ended.</exception>
    public ValueTask FinishedAsync()
    {
        if (_done)
            return ValueTask.CompletedTask;
        var finished = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Volatile.Write(ref _finished, finished);
        if (_done)
            finished.TrySetResult();
        return new ValueTask(finished.Task.WaitAsync(Connection.Closed));
    }

    public void Release()
    {
        Frame.Release();
        _budget?.Release(_budgetBytes);
        _budget = null;
        if (_rented is null)
            return;
        foreach (var rented in _rented)
            ArrayPool<byte>.Shared.Return(rented);
        _rented = null;
    }
}

/// <summary>
/// The memory for requests, in two halves: who claims large requests and does not send them holds up other large ones only.
/// </summary>
internal sealed class RequestMemory(long total, int smallBytes)
{
    private readonly ByteBudget _small = new(total / 2);
    private readonly ByteBudget _large = new(total - total / 2);

    /// <summary>The share that a request of this length is counted against.</summary>
    public ByteBudget For(int length) => length <= smallBytes ? _small : _large;
}

/// <summary>
/// Bytes that all connections share. Who asks for more than is left waits in line. A request is asked for whole before its bytes are
/// read, so nobody holds a part and waits for more.
/// </summary>
internal sealed class ByteBudget
{
    private readonly Lock _gate = new();
    private readonly Queue<(long Bytes, TaskCompletionSource Granted)> _waiting = new();
    private readonly long _total;
    private long _left;

    public ByteBudget(long total) => _total = _left = total;

    public long InUse
    {
        get
        {
            lock (_gate)
                return _total - _left;
        }
    }

    /// <summary>Takes the bytes if they are there at once.</summary>
    public bool TryTake(long bytes)
    {
        lock (_gate)
        {
            if (_waiting.Count > 0 || _left < bytes && _left < _total)
                return false;
            _left -= bytes;
            return true;
        }
    }

    public ValueTask TakeAsync(long bytes)
    {
        lock (_gate)
        {
            // One request larger than all is let through alone.
            if (_waiting.Count == 0 && (_left >= bytes || _left == _total))
            {
                _left -= bytes;
                return ValueTask.CompletedTask;
            }
            var granted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting.Enqueue((bytes, granted));
            return new ValueTask(granted.Task);
        }
    }

    public void Release(long bytes)
    {
        lock (_gate)
        {
            _left += bytes;
            while (_waiting.TryPeek(out var next) && (_left >= next.Bytes || _left == _total))
            {
                _left -= next.Bytes;
                _waiting.Dequeue();
                next.Granted.SetResult();
            }
        }
    }
}
