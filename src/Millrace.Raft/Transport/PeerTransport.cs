using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Microsoft.Extensions.Logging;
using Millrace.Raft.Messages;

namespace Millrace.Raft.Transport;

/// <summary>Takes what comes from other members. Calls come from many threads, one after another for each sender.</summary>
public interface IPeerReceiver
{
    void Receive(Message message);

    /// <param name="from">The member that sent it.</param>
    /// <param name="channel">From 1 up, as it was sent.</param>
    /// <param name="content">Not reused by the transport.</param>
    void Receive(MemberId from, byte channel, ReadOnlyMemory<byte> content);

    /// <summary>The connection on which a member spoke has ended; what it says next comes on another.</summary>
    void Lost(MemberId from);

    /// <summary>A caller that is no member yet asks something; the answer is sent back and the connection closed.</summary>
    byte[] Answer(ReadOnlyMemory<byte> question);
}

/// <summary>
/// Connections between members: each sends over the one it opened and reads from those opened to it. Messages are batched, checksummed
/// and in order while a connection lasts; what cannot be sent is dropped, and nothing is ever sent twice.
/// </summary>
public sealed partial class PeerTransport : IAsyncDisposable
{
    private readonly ConcurrentDictionary<MemberId, PeerSender> _senders = new();
    private readonly ulong _group;
    private readonly MemberId _self;
    private readonly IPeerReceiver _receiver;
    private readonly PeerTransportOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<Socket, Thread> _accepted = new();
    private readonly ConcurrentDictionary<Task, bool> _answering = new();
    private Socket? _listener;
    private Task _accepting = Task.CompletedTask;

    public PeerTransport(
        ulong group, MemberId self, IPeerReceiver receiver, TimeProvider time, ILogger logger, PeerTransportOptions? options = null)
    {
        _group = group;
        _self = self;
        _receiver = receiver;
        _time = time;
        _logger = logger;
        _options = options ?? new PeerTransportOptions();
    }

    /// <summary>Begins to accept connections; returns the port, useful when 0 was asked for.</summary>
    public int Listen(IPEndPoint address)
    {
        ArgumentNullException.ThrowIfNull(address);
        _listener = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        _listener.Bind(address);
        _listener.Listen(128);
        _accepting = AcceptAsync(_listener);
        return ((IPEndPoint)_listener.LocalEndPoint!).Port;
    }

    /// <summary>Says where a member is; a changed address takes effect with the next connection.</summary>
    public void SetPeer(MemberId id, string host, int port)
    {
        if (id == _self)
            return;
        _senders.GetOrAdd(id, i => new PeerSender(new Hello(_group, _self, i), host, port, _options, _time, _logger, _stop.Token))
            .SetAddress(host, port);
    }

    public void RemovePeer(MemberId id)
    {
        if (_senders.TryRemove(id, out var sender))
            sender.Stop();
    }

    /// <summary>
    /// Queues a message for its receiver, to leave with the next <see cref="Flush"/>; drops it when there is no room or no such member.
    /// </summary>
    public void Send(Message message)
    {
        ArgumentNullException.ThrowIfNull(message);
        if (_senders.TryGetValue(message.To, out var sender))
            sender.Send(message);
    }

    /// <summary>Sends all that is queued; never waits for the network.</summary>
    public void Flush()
    {
        foreach (var (_, sender) in _senders)
            sender.Flush();
    }

    /// <summary>Sends something else, after all that is queued for that member; false when it was dropped.</summary>
    public bool Send(MemberId to, byte channel, ReadOnlyMemory<byte> content)
    {
        if (!_senders.TryGetValue(to, out var sender) || !sender.Send(channel, content))
            return false;
        sender.Flush();
        return true;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        _listener?.Dispose();
        foreach (var sender in _senders.Values)
            await sender.Finished.ConfigureAwait(false);
        await _accepting.ConfigureAwait(false);
        foreach (var (socket, thread) in _accepted)
        {
            socket.Dispose();
            thread.Join();
        }
        await Task.WhenAll(_answering.Keys).ConfigureAwait(false);
        _stop.Dispose();
    }

    private async Task AcceptAsync(Socket listener)
    {
        while (!_stop.IsCancellationRequested)
        {
            Socket socket;
            try
            {
                socket = await listener.AcceptAsync(_stop.Token).ConfigureAwait(false);
            }
            catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException or SocketException)
            {
                if (_stop.IsCancellationRequested)
                    return;
                continue;
            }
            var thread = new Thread(() => Serve(socket)) { Name = "raft peer", IsBackground = true };
            _accepted[socket] = thread;
            thread.Start();
        }
    }

    /// <summary>
    /// A thread for each member that speaks: there are few, and a thread that waits in the kernel hears a message one switch of threads
    /// earlier than a task does. For that the socket must never be used asynchronously.
    /// </summary>
    private void Serve(Socket socket)
    {
        var isAnswering = false;
        try
        {
            socket.NoDelay = true;
            socket.ReceiveTimeout = (int)_options.HandshakeTimeout.TotalMilliseconds;
            var stream = Secured(socket);
            var hello = Greet(stream);
            socket.ReceiveTimeout = 0;
            if (hello.From.IsNone)
            {
                isAnswering = true;
                var answering = AnswerAsync(stream);
                _answering[answering] = true;
                _ = answering.ContinueWith(t => _answering.TryRemove(t, out _), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
                return;
            }
            LogConnected(_logger, _self, hello.From);
            try
            {
                Receive(stream, hello.From);
            }
            finally
            {
                if (!_stop.IsCancellationRequested)
                    _receiver.Lost(hello.From);
            }
        }
        catch (Exception error) when (error is IOException or SocketException or ObjectDisposedException or InvalidDataException or AuthenticationException)
        {
            if (!_stop.IsCancellationRequested)
                LogBroken(_logger, _self, error.Message);
        }
        finally
        {
            if (!isAnswering)
                socket.Dispose();
            _accepted.TryRemove(socket, out _);
        }
    }

    private Stream Secured(Socket socket)
    {
        var stream = new NetworkStream(socket, ownsSocket: true);
        if (_options.Tls is null)
            return stream;
        var secure = new SslStream(stream);
        secure.AuthenticateAsServer(_options.Tls.ForServer(null));
        return secure;
    }

    private Hello Greet(Stream stream)
    {
        var words = new byte[Hello.Bytes];
        for (var read = 0; read < words.Length;)
        {
            var count = stream.Read(words.AsSpan(read));
            if (count == 0)
                throw new InvalidDataException("a caller went away before its first words");
            read += count;
        }
        if (!Hello.TryRead(words, out var hello))
            throw new InvalidDataException("a caller is no member of a Millrace group, or of another version");
        var isWelcome = hello.From.IsNone || (hello.Group == _group && hello.To == _self);
        stream.WriteByte(isWelcome ? (byte)1 : (byte)2);
        if (!isWelcome)
            throw new InvalidDataException($"a caller asked for member {hello.To} of group {hello.Group:x}; this is {_self} of {_group:x}");
        return hello;
    }

    private void Receive(Stream stream, MemberId from)
    {
        var buffer = new byte[64 << 10];
        var (start, end) = (0, 0);
        while (true)
        {
            while (TakeFrame(buffer.AsSpan(start, end - start), out var taken) is { } body)
            {
                start += taken;
                if (body[0] == Frame.RaftChannel)
                    _receiver.Receive(MessageCodec.Read(body.AsMemory(1)));
                else
                    _receiver.Receive(from, body[0], body.AsMemory(1));
            }
            (buffer, start, end) = MakeRoom(buffer, start, end);
            var count = stream.Read(buffer.AsSpan(end));
            if (count == 0)
                return;
            end += count;
        }
    }

    /// <summary>What is not whole yet moves to the front, into a larger buffer if its frame is larger than this one.</summary>
    private static (byte[] Buffer, int Start, int End) MakeRoom(byte[] buffer, int start, int end)
    {
        var kept = end - start;
        var wanted = kept >= Frame.HeaderBytes ? Frame.HeaderBytes + Frame.LengthOf(buffer.AsSpan(start)) : 0;
        var target = wanted > buffer.Length ? new byte[wanted] : kept == 0 && buffer.Length > 1 << 20 ? new byte[64 << 10] : buffer;
        if (start > 0 || target != buffer)
            buffer.AsSpan(start, kept).CopyTo(target);
        return (target, 0, kept);
    }

    /// <summary>The next frame's body in an array of its own, since messages keep parts of it; null when it is not whole yet.</summary>
    private byte[]? TakeFrame(ReadOnlySpan<byte> buffer, out int taken)
    {
        taken = 0;
        if (buffer.Length < Frame.HeaderBytes)
            return null;
        var length = Frame.LengthOf(buffer);
        if (length < 1 || length > _options.MaxFrameBytes)
            throw new InvalidDataException($"a frame of {length} bytes; MaxFrameBytes is {_options.MaxFrameBytes}");
        if (buffer.Length < Frame.HeaderBytes + length)
            return null;
        var body = buffer.Slice(Frame.HeaderBytes, length).ToArray();
        if (!Frame.Verify(buffer, body))
            throw new InvalidDataException("a frame does not match its checksum");
        taken = Frame.HeaderBytes + length;
        return body;
    }

    private async Task AnswerAsync(Stream connection)
    {
        try
        {
            using var timeout = new CancellationTokenSource(_options.HandshakeTimeout, _time);
            using var both = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, _stop.Token);
            await using var stream = connection;
            var question = await PeerQuestion.ReadAsync(stream, both.Token).ConfigureAwait(false);
            await PeerQuestion.WriteAsync(stream, _receiver.Answer(question), both.Token).ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or SocketException or OperationCanceledException or InvalidDataException)
        {
            LogBroken(_logger, _self, error.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Self}: member {Peer} is connected")]
    private static partial void LogConnected(ILogger logger, MemberId self, MemberId peer);

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Self}: a connection of another member ended: {Reason}")]
    private static partial void LogBroken(ILogger logger, MemberId self, string reason);
}
