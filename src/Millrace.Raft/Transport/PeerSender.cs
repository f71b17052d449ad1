using System.Buffers;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Millrace.Raft.Messages;

namespace Millrace.Raft.Transport;

/// <summary>What waits for one member, and the connection that it leaves by.</summary>
internal sealed partial class PeerSender
{
    private readonly Lock _lock = new();
    private readonly Hello _hello;
    private readonly PeerTransportOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop;
    private readonly SemaphoreSlim _wake = new(0);
    private Queue<object> _queue = new();
    private Queue<object> _spare = new();
    private long _queuedBytes;
    private bool _isConnected;
    private string _host;
    private int _port;

    public PeerSender(
        Hello hello, string host, int port, PeerTransportOptions options, TimeProvider time, ILogger logger, CancellationToken stop)
    {
        _host = host;
        _port = port;
        _hello = hello;
        _options = options;
        _time = time;
        _logger = logger;
        _stop = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Finished = Task.Run(RunAsync, CancellationToken.None);
    }

    public Task Finished { get; }

    public void SetAddress(string host, int port)
    {
        lock (_lock)
            (_host, _port) = (host, port);
    }

    public void Stop() => _stop.Cancel();

    public void Send(Message message) => Enqueue(message, BytesOf(message));

    public bool Send(byte channel, ReadOnlyMemory<byte> content) => Enqueue((channel, content), content.Length);

    private static long BytesOf(Message message)
    {
        long bytes = 64;
        if (message is AppendRequest append)
        {
            foreach (var entry in append.Entries)
                bytes += entry.Bytes;
        }
        else if (message is SnapshotChunk chunk)
        {
            bytes += chunk.Data.Length;
        }
        return bytes;
    }

    private bool Enqueue(object item, long bytes)
    {
        lock (_lock)
        {
            // Nothing is kept for a member that is away: old messages would only be in the way when it is back.
            if (!_isConnected || _queuedBytes > _options.MaxQueuedBytes)
                return false;
            _queuedBytes += bytes;
            _queue.Enqueue(item);
            if (_queue.Count > 1)
                return true;
        }
        _wake.Release();
        return true;
    }

    private async Task RunAsync()
    {
        var pause = _options.ReconnectMin;
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                using var socket = await ConnectAsync().ConfigureAwait(false);
                pause = _options.ReconnectMin;
                LogConnected(_logger, _hello.From, _hello.To);
                await SendAllAsync(socket).ConfigureAwait(false);
            }
            catch (Exception error) when (error is IOException or SocketException or OperationCanceledException or InvalidDataException)
            {
                if (_stop.IsCancellationRequested)
                    return;
                LogBroken(_logger, _hello.From, _hello.To, error.Message);
            }
            finally
            {
                lock (_lock)
                {
                    _isConnected = false;
                    _queue.Clear();
                    _queuedBytes = 0;
                }
            }
            try
            {
                await Task.Delay(pause, _time, _stop.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            pause = pause * 2 < _options.ReconnectMax ? pause * 2 : _options.ReconnectMax;
        }
    }

    private async Task<Socket> ConnectAsync()
    {
        string host;
        int port;
        lock (_lock)
            (host, port) = (_host, _port);
        using var timeout = new CancellationTokenSource(_options.HandshakeTimeout, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, _stop.Token);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(host, port, both.Token).ConfigureAwait(false);
            var words = new byte[Hello.Bytes];
            _hello.Write(words);
            await socket.SendAsync(words, both.Token).ConfigureAwait(false);
            if (await socket.ReceiveAsync(words.AsMemory(0, 1), both.Token).ConfigureAwait(false) != 1 || words[0] != 1)
                throw new InvalidDataException($"{host}:{port} is not member {_hello.To} of this group");
        }
        catch
        {
            socket.Dispose();
            throw;
        }
        lock (_lock)
            _isConnected = true;
        return socket;
    }

    private async Task SendAllAsync(Socket socket)
    {
        using var broken = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        var watching = WatchAsync(socket, broken);
        var buffer = new ArrayBufferWriter<byte>(_options.MaxBatchBytes);
        try
        {
            while (true)
            {
                await _wake.WaitAsync(broken.Token).ConfigureAwait(false);
                Queue<object> items;
                lock (_lock)
                {
                    items = _queue;
                    _queue = _spare;
                    _spare = items;
                    _queuedBytes = 0;
                }
                while (items.TryDequeue(out var item))
                {
                    Encode(item, buffer);
                    if (buffer.WrittenCount < _options.MaxBatchBytes && items.Count > 0)
                        continue;
                    await SendAsync(socket, buffer.WrittenMemory, broken.Token).ConfigureAwait(false);
                    buffer.ResetWrittenCount();
                }
            }
        }
        finally
        {
            _spare.Clear();
            await broken.CancelAsync().ConfigureAwait(false);
            await watching.ConfigureAwait(false);
        }
    }

    /// <summary>The other side never says more than its welcome, so anything readable is the end.</summary>
    private static async Task WatchAsync(Socket socket, CancellationTokenSource broken)
    {
        try
        {
            await socket.ReceiveAsync(new byte[1], broken.Token).ConfigureAwait(false);
            await broken.CancelAsync().ConfigureAwait(false);
        }
        catch (Exception error) when (error is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            await broken.CancelAsync().ConfigureAwait(false);
        }
    }

    private static async Task SendAsync(Socket socket, ReadOnlyMemory<byte> data, CancellationToken cancel)
    {
        while (!data.IsEmpty)
            data = data[await socket.SendAsync(data, cancel).ConfigureAwait(false)..];
    }

    private static void Encode(object item, ArrayBufferWriter<byte> buffer)
    {
        var start = buffer.WrittenCount;
        buffer.GetSpan(Frame.HeaderBytes + 1)[..(Frame.HeaderBytes + 1)].Clear();
        buffer.Advance(Frame.HeaderBytes);
        if (item is Message message)
        {
            buffer.Write([Frame.RaftChannel]);
            MessageCodec.Write(message, buffer);
        }
        else
        {
            var (channel, content) = ((byte, ReadOnlyMemory<byte>))item;
            buffer.Write([channel]);
            buffer.Write(content.Span);
        }
        var frame = System.Runtime.InteropServices.MemoryMarshal.AsMemory(buffer.WrittenMemory).Span[start..];
        Frame.Seal(frame);
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Self}: connected to member {Peer}")]
    private static partial void LogConnected(ILogger logger, MemberId self, MemberId peer);

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Self}: no connection to member {Peer}: {Reason}")]
    private static partial void LogBroken(ILogger logger, MemberId self, MemberId peer, string reason);
}
