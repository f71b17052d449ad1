using System.Buffers;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
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
    private readonly ConcurrentDictionary<Socket, Task> _accepted = new();
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

    /// <summary>Queues a message for its receiver; drops it when there is no room or no such member.</summary>
    public void Send(Message message)
    {
        ArgumentNullException.ThrowIfNull(message);
        if (_senders.TryGetValue(message.To, out var sender))
            sender.Send(message);
    }

    /// <summary>Queues something else; false when it was dropped.</summary>
    public bool Send(MemberId to, byte channel, ReadOnlyMemory<byte> content) =>
        _senders.TryGetValue(to, out var sender) && sender.Send(channel, content);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        _listener?.Dispose();
        foreach (var sender in _senders.Values)
            await sender.Finished.ConfigureAwait(false);
        foreach (var socket in _accepted.Keys)
            socket.Dispose();
        await Task.WhenAll(_accepted.Values).ConfigureAwait(false);
        await _accepting.ConfigureAwait(false);
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
            _accepted[socket] = ServeAsync(socket);
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        await Task.Yield();
        try
        {
            socket.NoDelay = true;
            await using var stream = new NetworkStream(socket, ownsSocket: true);
            var hello = await GreetAsync(stream).ConfigureAwait(false);
            if (hello.From.IsNone)
            {
                await AnswerAsync(stream).ConfigureAwait(false);
                return;
            }
            LogConnected(_logger, _self, hello.From);
            await ReceiveAsync(stream, hello.From).ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or SocketException or OperationCanceledException or ObjectDisposedException
            or InvalidDataException or EndOfStreamException)
        {
            if (!_stop.IsCancellationRequested)
                LogBroken(_logger, _self, error.Message);
        }
        finally
        {
            _accepted.TryRemove(socket, out _);
        }
    }

    private async Task<Hello> GreetAsync(NetworkStream stream)
    {
        using var timeout = new CancellationTokenSource(_options.HandshakeTimeout, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, _stop.Token);
        var words = new byte[Hello.Bytes];
        await stream.ReadExactlyAsync(words, both.Token).ConfigureAwait(false);
        if (!Hello.TryRead(words, out var hello))
            throw new InvalidDataException("a caller is no member of a Millrace group, or of another version");
        var isWelcome = hello.From.IsNone || (hello.Group == _group && hello.To == _self);
        await stream.WriteAsync(new byte[] { isWelcome ? (byte)1 : (byte)2 }, both.Token).ConfigureAwait(false);
        if (!isWelcome)
            throw new InvalidDataException($"a caller asked for member {hello.To} of group {hello.Group:x}; this is {_self} of {_group:x}");
        return hello;
    }

    private async Task ReceiveAsync(NetworkStream stream, MemberId from)
    {
        var input = System.IO.Pipelines.PipeReader.Create(
            stream, new System.IO.Pipelines.StreamPipeReaderOptions(bufferSize: 64 << 10, minimumReadSize: 16 << 10));
        try
        {
            while (true)
            {
                var result = await input.ReadAsync(_stop.Token).ConfigureAwait(false);
                var buffer = result.Buffer;
                while (TakeFrame(ref buffer, out var body))
                {
                    if (body.Span[0] == Frame.RaftChannel)
                        _receiver.Receive(MessageCodec.Read(body[1..]));
                    else
                        _receiver.Receive(from, body.Span[0], body[1..]);
                }
                input.AdvanceTo(buffer.Start, buffer.End);
                if (result.IsCompleted)
                    return;
            }
        }
        finally
        {
            await input.CompleteAsync().ConfigureAwait(false);
        }
    }

    private bool TakeFrame(ref ReadOnlySequence<byte> buffer, out ReadOnlyMemory<byte> body)
    {
        body = default;
        if (buffer.Length < Frame.HeaderBytes)
            return false;
        Span<byte> header = stackalloc byte[Frame.HeaderBytes];
        buffer.Slice(0, Frame.HeaderBytes).CopyTo(header);
        var length = Frame.LengthOf(header);
        if (length < 1 || length > _options.MaxFrameBytes)
            throw new InvalidDataException($"a frame of {length} bytes; MaxFrameBytes is {_options.MaxFrameBytes}");
        if (buffer.Length < Frame.HeaderBytes + length)
            return false;
        var copy = buffer.Slice(Frame.HeaderBytes, length).ToArray();
        if (!Frame.Verify(header, copy))
            throw new InvalidDataException("a frame does not match its checksum");
        buffer = buffer.Slice(Frame.HeaderBytes + length);
        body = copy;
        return true;
    }

    private async Task AnswerAsync(NetworkStream stream)
    {
        using var timeout = new CancellationTokenSource(_options.HandshakeTimeout, _time);
        var question = await PeerQuestion.ReadAsync(stream, timeout.Token).ConfigureAwait(false);
        await PeerQuestion.WriteAsync(stream, _receiver.Answer(question), timeout.Token).ConfigureAwait(false);
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Self}: member {Peer} is connected")]
    private static partial void LogConnected(ILogger logger, MemberId self, MemberId peer);

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Self}: a connection of another member ended: {Reason}")]
    private static partial void LogBroken(ILogger logger, MemberId self, string reason);
}
