using System.Buffers;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Microsoft.Extensions.Logging;
using Millrace.Raft.Messages;

namespace Millrace.Raft.Transport;

/// <summary>
/// What waits for one member, and the connection that it leaves by. Whoever has queued something sends it too, by <see cref="Flush"/>, as
/// far as the socket takes it at once; only what is left over is sent by a task. Handing each message to another thread would cost a
/// request two more switches of threads on its way.
/// </summary>
internal sealed partial class PeerSender
{
    private readonly Lock _lock = new();
    private readonly Hello _hello;
    private readonly PeerTransportOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop;
    private readonly SemaphoreSlim _leftOver = new(0);
    private readonly Queue<object> _queue = new();
    private readonly ArrayBufferWriter<byte> _buffer;
    private long _queuedBytes;
    private int _sent;
    private Socket? _socket;
    private Stream? _secure;
    private CancellationTokenSource? _broken;
    private bool _isLeftToTask;
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
        _buffer = new ArrayBufferWriter<byte>(64 << 10);
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

    /// <summary>Sends what is queued, without waiting for the network.</summary>
    public void Flush()
    {
        lock (_lock)
        {
            if (_socket is null || _isLeftToTask)
                return;
            if (_secure is not null)
            {
                // TLS writes only as a whole, so it is the task's.
                if (_queue.Count == 0)
                    return;
                _buffer.ResetWrittenCount();
                _sent = 0;
                _isLeftToTask = true;
                _leftOver.Release();
                return;
            }
            while (EncodeSome())
            {
                while (_sent < _buffer.WrittenCount)
                {
                    var count = _socket.Send(_buffer.WrittenSpan[_sent..], SocketFlags.None, out var error);
                    if (error == SocketError.WouldBlock)
                    {
                        _isLeftToTask = true;
                        _leftOver.Release();
                        return;
                    }
                    if (error != SocketError.Success)
                    {
                        _broken!.CancelAfter(TimeSpan.Zero);
                        return;
                    }
                    _sent += count;
                }
            }
        }
    }

    private bool Enqueue(object item, long bytes)
    {
        lock (_lock)
        {
            // Nothing is kept for a member that is away: old messages would only be in the way when it is back.
            if (_socket is null || _queuedBytes > _options.MaxQueuedBytes)
                return false;
            _queuedBytes += bytes;
            _queue.Enqueue(item);
            return true;
        }
    }

    /// <summary>Puts what is queued, up to a bound, into the emptied buffer; false when nothing is queued.</summary>
    private bool EncodeSome()
    {
        _buffer.ResetWrittenCount();
        _sent = 0;
        while (_buffer.WrittenCount < _options.MaxBatchBytes && _queue.TryDequeue(out var item))
            Encode(item, _buffer);
        if (_queue.Count == 0)
            _queuedBytes = 0;
        return _buffer.WrittenCount > 0;
    }

    private async Task RunAsync()
    {
        var pause = _options.ReconnectMin;
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var (socket, secure) = await ConnectAsync().ConfigureAwait(false);
                using var connection = socket;
                await using var session = secure;
                pause = _options.ReconnectMin;
                LogConnected(_logger, _hello.From, _hello.To);
                await SendLeftOversAsync(socket, secure).ConfigureAwait(false);
            }
            catch (Exception error) when (error is IOException or SocketException or OperationCanceledException or InvalidDataException or AuthenticationException)
            {
                if (_stop.IsCancellationRequested)
                    return;
                LogBroken(_logger, _hello.From, _hello.To, error.Message);
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

    private async Task<(Socket Socket, SslStream? Secure)> ConnectAsync()
    {
        string host;
        int port;
        lock (_lock)
            (host, port) = (_host, _port);
        using var timeout = new CancellationTokenSource(_options.HandshakeTimeout, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, _stop.Token);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        SslStream? secure = null;
        try
        {
            await socket.ConnectAsync(host, port, both.Token).ConfigureAwait(false);
            if (_options.Tls is not null)
            {
                secure = new SslStream(new NetworkStream(socket));
                await secure.AuthenticateAsClientAsync(_options.Tls.ForClient(host), both.Token).ConfigureAwait(false);
            }
            var words = new byte[Hello.Bytes];
            _hello.Write(words);
            if (secure is null)
                await socket.SendAsync(words, both.Token).ConfigureAwait(false);
            else
                await secure.WriteAsync(words, both.Token).ConfigureAwait(false);
            var welcome = words.AsMemory(0, 1);
            var read = secure is null
                ? await socket.ReceiveAsync(welcome, both.Token).ConfigureAwait(false)
                : await secure.ReadAsync(welcome, both.Token).ConfigureAwait(false);
            if (read != 1 || words[0] != 1)
                throw new InvalidDataException($"{host}:{port} is not member {_hello.To} of this group");
        }
        catch
        {
            if (secure is not null)
                await secure.DisposeAsync().ConfigureAwait(false);
            socket.Dispose();
            throw;
        }
        return (socket, secure);
    }

    private async Task SendLeftOversAsync(Socket socket, SslStream? secure)
    {
        using var broken = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        socket.Blocking = secure is not null;
        var watching = WatchAsync(socket, secure, broken);
        lock (_lock)
        {
            _broken = broken;
            _secure = secure;
            _socket = socket;
        }
        try
        {
            while (true)
            {
                await _leftOver.WaitAsync(broken.Token).ConfigureAwait(false);
                while (true)
                {
                    // The buffer belongs to this task until it says otherwise.
                    if (secure is null)
                        await SendAsync(socket, _buffer.WrittenMemory[_sent..], broken.Token).ConfigureAwait(false);
                    else
                        await secure.WriteAsync(_buffer.WrittenMemory[_sent..], broken.Token).ConfigureAwait(false);
                    lock (_lock)
                    {
                        if (EncodeSome())
                            continue;
                        _isLeftToTask = false;
                        break;
                    }
                }
            }
        }
        finally
        {
            lock (_lock)
            {
                _socket = null;
                _secure = null;
                _broken = null;
                _isLeftToTask = false;
                _queue.Clear();
                _queuedBytes = 0;
            }
            await broken.CancelAsync().ConfigureAwait(false);
            await watching.ConfigureAwait(false);
            while (_leftOver.CurrentCount > 0)
                await _leftOver.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        }
    }

    /// <summary>The other side never says more than its welcome, so anything readable is the end.</summary>
    private static async Task WatchAsync(Socket socket, SslStream? secure, CancellationTokenSource broken)
    {
        try
        {
            if (secure is null)
                await socket.ReceiveAsync(new byte[1], broken.Token).ConfigureAwait(false);
            else
                _ = await secure.ReadAsync(new byte[1], broken.Token).ConfigureAwait(false);
            await broken.CancelAsync().ConfigureAwait(false);
        }
        catch (Exception error) when (error is OperationCanceledException or SocketException or IOException or ObjectDisposedException)
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
