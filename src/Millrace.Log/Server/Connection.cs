using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Wire;
using Millrace.Log.Security;

namespace Millrace.Log.Server;

/// <summary>
/// One client. Requests are read and begun in order; Produce requests may be in work side by side, everything else is finished before
/// the next is begun. Answers are sent in the order of requests, as many at once as are ready. An idle connection holds no buffer.
/// </summary>
internal sealed partial class Connection : IThreadPoolWorkItem
{
    private const int ReceiveBytes = 16 << 10;

    /// <summary>A frame up to this size gets its memory at once; a larger one grows with what really arrives.</summary>
    public const int TrustedFrameBytes = 1 << 20;

    /// <summary>Of a frame that is a token of a login and no request (SaslHandshake version 0).</summary>
    public const ApiKey BareTokenKey = (ApiKey)(-1);

    /// <summary>A frame of a client that has not logged in.</summary>
    private const int MaxLoginFrameBytes = 512 << 10;

    private const int TcpLevel = 6;
    private const int TcpInfo = 11;
    private const int TcpInfoBytes = 104;
    private const byte TcpClosed = 7;
    private const byte TcpCloseWait = 8;

    private readonly Socket _socket;
    private readonly RequestRouter _router;
    private readonly BrokerOptions _options;
    private readonly RequestMemory _memory;
    private readonly ILogger _log;
    private readonly Queue<Exchange> _exchanges = new();
    private readonly SemaphoreSlim _room;
    private readonly WireBuffer _output = new();
    private readonly List<Exchange> _sending = [];
    private readonly List<ArraySegment<byte>> _segments = [];
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _closing = new();
    private ITimer? _frameTimer;
    private SslStream? _tls;
    private ITimer? _loginTimer;
    private long _unreadUntil;
    private volatile bool _loggedIn;
    private volatile bool _parked;
    private int _pumping;
    private bool _closeOnPool;
    private byte[]? _received;
    private int _receivedFrom;
    private int _receivedTo;
    private string? _closeReason;

    public Connection(Socket socket, RequestRouter router, BrokerOptions options, RequestMemory memory, TimeProvider time, ILogger log)
    {
        _socket = socket;
        _router = router;
        _options = options;
        _memory = memory;
        _time = time;
        _log = log;
        _room = new SemaphoreSlim(options.MaxRequestsInFlight);
        Remote = socket.RemoteEndPoint as IPEndPoint ?? new IPEndPoint(IPAddress.None, 0);
        LocalAddress = (socket.LocalEndPoint as IPEndPoint)?.Address ?? IPAddress.Loopback;
    }

    public IPEndPoint Remote { get; }

    public IPAddress LocalAddress { get; }

    /// <summary>Cancelled when the connection ends.</summary>
    public CancellationToken Closed => _closing.Token;

    /// <summary>What the client calls itself (ApiVersions v3).</summary>
    public string Software { get; set; } = "";

    /// <summary>The client's address as rules name it.</summary>
    public string Host => (Remote.Address.IsIPv4MappedToIPv6 ? Remote.Address.MapToIPv4() : Remote.Address).ToString();

    /// <summary>Who it is, as rules name it.</summary>
    public string Principal { get; private set; } = "User:ANONYMOUS";

    /// <summary>Whether it is a client of this process.</summary>
    public bool IsOwn { get; private set; }

    /// <summary>The login under way, or done.</summary>
    public SaslLogin? Login { get; set; }

    /// <summary>The next frames are tokens of the login without requests around them.</summary>
    public bool ExpectsBareTokens { get; set; }

    public bool IsLoggedIn => _loggedIn;

    public bool NeedsLogin => _options.Security is { Mechanisms.Count: > 0 } && !_loggedIn;

    public void LoggedIn(string user)
    {
        Principal = "User:" + user;
        IsOwn = user == _options.Security?.Own?.Name;
        ExpectsBareTokens = false;
        _loggedIn = true;
        _loginTimer?.Dispose();
    }

    /// <summary>Its next request is not begun for so many milliseconds: it is over a quota.</summary>
    public void LeaveUnread(int millis)
    {
        if (millis > 0)
            Interlocked.Exchange(ref _unreadUntil, Math.Max(Interlocked.Read(ref _unreadUntil), Millis() + millis));
    }

    /// <summary>Serves until the client goes, breaks the protocol, or the broker stops.</summary>
    public async Task RunAsync()
    {
        try
        {
            if (_options.Security is { } security)
                await BeginAsync(security).ConfigureAwait(false);
            while (true)
            {
                var frame = await ReadFrameAsync().ConfigureAwait(false);
                if (frame is null)
                    break;
                if (Interlocked.Read(ref _unreadUntil) != 0)
                    await WaitAsync(frame).ConfigureAwait(false);
                await ServeAsync(frame).ConfigureAwait(false);
            }
        }
        catch (WireFormatException error)
        {
            _closeReason ??= error.Message;
        }
        catch (InvalidDataException error)
        {
            _closeReason ??= error.Message;
        }
        catch (SocketException error)
        {
            LogGone(Remote, error.SocketErrorCode.ToString());
        }
        catch (OperationCanceledException)
        {
            // Close() says why, or the broker stops.
        }
        catch (AuthenticationException error)
        {
            _closeReason ??= $"no TLS: {error.Message}";
        }
        catch (IOException error)
        {
            // How a TLS stream says that its socket is gone.
            LogGone(Remote, error.Message);
        }
        catch (ObjectDisposedException)
        {
            // Likewise.
        }
        catch (Exception error)
        {
            // Our own bug: this connection is not to be trusted any more, the others are.
            LogBug(Remote, error);
        }
        if (_closeReason is not null)
            LogRefused(Remote, _closeReason);
        Close(null);
        _frameTimer?.Dispose();
        _loginTimer?.Dispose();
        GiveBackReceived();
        // Whoever still works for this connection completes into a closed one; what nobody works for is released here.
        Pump();
    }

    private async Task BeginAsync(BrokerSecurity security)
    {
        _loginTimer = _time.CreateTimer(
            static state => ((Connection)state!).Close("it did not log in in time (LoginTimeout)"), this, security.LoginTimeout, Timeout.InfiniteTimeSpan);
        if (security.Certificate is { } certificate)
        {
            var tls = new SslStream(new NetworkStream(_socket, ownsSocket: false));
            await tls.AuthenticateAsServerAsync(
                new SslServerAuthenticationOptions
                {
                    ServerCertificateContext = certificate, EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
                    ClientCertificateRequired = security.Clients is not null, CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
                    RemoteCertificateValidationCallback = security.Clients is { } clients
                        ? (_, given, _, _) => clients.Accepts(given as X509Certificate2, _time.GetUtcNow())
                        : null,
                },
                _closing.Token).ConfigureAwait(false);
            _tls = tls;
            // A login that follows says better who it is.
            if (security is { Clients: { } known, Mechanisms.Count: 0 } && tls.RemoteCertificate is X509Certificate2 shown)
            {
                LoggedIn(known.IsOwn(shown)
                    ? security.Own!.Name
                    : known.Names.Of(shown) ?? throw new AuthenticationException($"no rule gives '{shown.Subject}' a name (principal_names)"));
            }
        }
        if (security.Mechanisms.Count == 0)
            _loginTimer.Dispose();
    }

    private async ValueTask WaitAsync(Frame frame)
    {
        try
        {
            while (Interlocked.Read(ref _unreadUntil) - Millis() is > 0 and var wait)
                await Task.Delay(TimeSpan.FromMilliseconds(wait), _time, _closing.Token).ConfigureAwait(false);
        }
        catch
        {
            frame.Release();
            throw;
        }
    }

    /// <summary>By a clock that nobody sets; never 0.</summary>
    private long Millis() => 1 + (long)_time.GetElapsedTime(0).TotalMilliseconds;

    private ValueTask<int> ReceiveAsync(Memory<byte> into) =>
        _tls is { } tls ? tls.ReadAsync(into, _closing.Token) : _socket.ReceiveAsync(into, SocketFlags.None, _closing.Token);

    private async ValueTask ServeAsync(Frame frame)
    {
        Exchange exchange;
        try
        {
            await _room.WaitAsync(_closing.Token).ConfigureAwait(false);
            exchange = Open(frame);
        }
        catch
        {
            frame.Release();
            throw;
        }
        lock (_exchanges)
            _exchanges.Enqueue(exchange);
        try
        {
            var routed = _router.RouteAsync(exchange);
            if (routed.IsCompletedSuccessfully)
                return;
            _parked = true;
            await routed.ConfigureAwait(false);
        }
        catch
        {
            if (!exchange.IsDone)
                exchange.Complete(null);
            throw;
        }
        finally
        {
            _parked = false;
        }
    }

    /// <summary>
    /// Ends it when its client has gone while one of its requests waits (a Fetch for records, a JoinGroup for members): nothing is read meanwhile, so nobody
    /// else would notice before the wait is over, and how long that is the client has said.
    /// </summary>
    public void CloseIfGone()
    {
        if (!_parked || _closing.IsCancellationRequested)
            return;
        try
        {
            if (IsGone())
                Close(null);
        }
        catch (SocketException)
        {
            Close(null);
        }
        catch (ObjectDisposedException)
        {
            // Closed.
        }
    }

    private bool IsGone()
    {
        if (!OperatingSystem.IsLinux())
            return _socket.Poll(0, SelectMode.SelectRead) && _socket.Available == 0;
        // What the client has sent before it went may still be unread, so the state is asked for (tcp_info, netinet/tcp.h): its first byte.
        Span<byte> info = stackalloc byte[TcpInfoBytes];
        _socket.GetRawSocketOption(TcpLevel, TcpInfo, info);
        return info[0] is TcpClosed or TcpCloseWait;
    }

    /// <summary>Ends the connection; the reason is logged.</summary>
    public void Close(string? reason)
    {
        if (reason is not null)
            _closeReason ??= reason;
        if (_closing.IsCancellationRequested)
            return;
        _closing.Cancel();
        _socket.Dispose();
    }

    /// <summary>Sends what is ready. Any thread; one at a time does the work.</summary>
    public void Pump()
    {
        if (Interlocked.CompareExchange(ref _pumping, 1, 0) == 0 && !Outbox.TryAdd(this))
            PumpOnPool();
    }

    /// <summary>Goes on with a <see cref="Pump"/> that the outbox took.</summary>
    public void PumpOnPool() => ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);

    /// <summary>Likewise, on this thread, which must not be held up: one look, one send that does not wait. What comes after is the pool's.</summary>
    public void PumpHere()
    {
        if (_tls is null)
            _ = PumpOnceAsync();
        else
            PumpOnPool();
    }

    void IThreadPoolWorkItem.Execute()
    {
        if (_closeOnPool)
            Close(null);
        _ = PumpAsync();
    }

    private async Task PumpOnceAsync()
    {
        if (TakeReady())
            await SendAsync(here: true).ConfigureAwait(false);
        if (_closeOnPool)
        {
            PumpOnPool();
            return;
        }
        Volatile.Write(ref _pumping, 0);
        if (HeadIsReady() && Interlocked.CompareExchange(ref _pumping, 1, 0) == 0)
            PumpOnPool();
    }

    private async Task PumpAsync()
    {
        while (true)
        {
            while (TakeReady())
                await SendAsync(here: false).ConfigureAwait(false);
            Volatile.Write(ref _pumping, 0);
            // Something may have become ready between the last look and the flag.
            if (!HeadIsReady() || Interlocked.CompareExchange(ref _pumping, 1, 0) != 0)
                return;
        }
    }

    private bool HeadIsReady()
    {
        lock (_exchanges)
            return _exchanges.TryPeek(out var head) && head.IsDone;
    }

    private bool TakeReady()
    {
        _sending.Clear();
        lock (_exchanges)
        {
            while (_exchanges.TryPeek(out var head) && head.IsDone)
            {
                _sending.Add(_exchanges.Dequeue());
                if (head.CloseAfterSend is not null)
                    break;
            }
        }
        return _sending.Count > 0;
    }

    private async ValueTask SendAsync(bool here)
    {
        try
        {
            foreach (var exchange in _sending)
            {
                if (exchange.Response is { } response)
                    Encode(exchange, response);
            }
            if (_output.TotalLength == 0 || _closing.IsCancellationRequested)
                return;
            if (_tls is { } tls)
            {
                await SendTlsAsync(tls).ConfigureAwait(false);
            }
            else if (!_output.HasAttachments)
            {
                for (var rest = _output.WrittenMemory; rest.Length > 0;)
                    rest = rest[await _socket.SendAsync(rest, SocketFlags.None, _closing.Token).ConfigureAwait(false)..];
            }
            else
            {
                _segments.Clear();
                _output.AddSegments(_segments);
                await SendAllAsync().ConfigureAwait(false);
            }
        }
        catch (SocketException error)
        {
            LogGone(Remote, error.SocketErrorCode.ToString());
            End(null, here);
        }
        catch (IOException error)
        {
            LogGone(Remote, error.Message);
            End(null, here);
        }
        catch (OperationCanceledException)
        {
            // Closed.
        }
        catch (ObjectDisposedException)
        {
            // Closed.
        }
        catch (Exception error)
        {
            LogBug(Remote, error);
            End(null, here);
        }
        finally
        {
            if (_sending[^1].CloseAfterSend is { } reason)
                End(reason, here);
            // Between answers nothing is held.
            _output.Dispose();
            foreach (var exchange in _sending)
                exchange.Release();
            _room.Release(_sending.Count);
        }
    }

    /// <summary>Ends the connection. Whoever waits for its end goes on at once and may take long: not on the committer's thread.</summary>
    private void End(string? reason, bool here)
    {
        if (!here)
        {
            Close(reason);
            return;
        }
        _closeReason ??= reason;
        _closeOnPool = true;
    }

    private async ValueTask SendTlsAsync(SslStream tls)
    {
        _segments.Clear();
        _output.AddSegments(_segments);
        foreach (var segment in _segments)
            await tls.WriteAsync(segment, _closing.Token).ConfigureAwait(false);
        await tls.FlushAsync(_closing.Token).ConfigureAwait(false);
    }

    private async ValueTask SendAllAsync()
    {
        while (_segments.Count > 0)
        {
            var sent = await _socket.SendAsync(_segments, SocketFlags.None).ConfigureAwait(false);
            var whole = 0;
            while (whole < _segments.Count && sent >= _segments[whole].Count)
                sent -= _segments[whole++].Count;
            _segments.RemoveRange(0, whole);
            if (sent > 0)
                _segments[0] = _segments[0][sent..];
        }
    }

    private void Encode(Exchange exchange, IWireStruct response)
    {
        if (response is BareToken bare)
        {
            BinaryPrimitives.WriteInt32BigEndian(_output.Extend(4), bare.Token.Length);
            bare.Token.CopyTo(_output.Extend(bare.Token.Length));
            return;
        }
        var start = _output.Length;
        var before = _output.TotalLength;
        BinaryPrimitives.WriteInt32BigEndian(_output.Extend(8)[4..], exchange.CorrelationId);
        var flexible = _router.IsFlexible(exchange.Key, exchange.ResponseVersion);
        var writer = new WireWriter(_output, exchange.ResponseVersion, flexible);
        // ApiVersions keeps the old response header in every version, so that a client that guessed wrong can read it (KIP-511).
        if (exchange.Key != ApiKey.ApiVersions)
            writer.NoTags();
        response.Serialize(ref writer);
        writer.NoTags();
        BinaryPrimitives.WriteInt32BigEndian(_output.At(start, 4), checked((int)(_output.TotalLength - before - 4)));
    }

    private Exchange Open(Frame frame)
    {
        if (ExpectsBareTokens)
            return new Exchange(this, BareTokenKey, 0, 0, null, frame, 0);
        try
        {
            var header = new WireReader(frame.Memory, 0, flexible: false);
            short key = 0, version = 0;
            var correlationId = 0;
            header.Int16(ref key);
            header.Int16(ref version);
            header.Int32(ref correlationId);
            var clientId = header.ClassicNullableString();
            var bodyFrom = header.Position;
            if (_router.IsFlexible((ApiKey)key, version))
            {
                var tags = new WireReader(frame.Memory[bodyFrom..], version, flexible: true);
                tags.SkipTags();
                bodyFrom += tags.Position;
            }
            return new Exchange(this, (ApiKey)key, version, correlationId, clientId, frame, bodyFrom);
        }
        catch (WireFormatException)
        {
            frame.Release();
            throw;
        }
    }

    /// <summary>The next frame without its length, or null when the client has gone between two frames.</summary>
    private async ValueTask<Frame?> ReadFrameAsync()
    {
        if (_receivedTo - _receivedFrom < 4 && !await ReceiveAsync(4).ConfigureAwait(false))
            return null;
        var length = BinaryPrimitives.ReadInt32BigEndian(_received.AsSpan(_receivedFrom));
        var most = NeedsLogin ? Math.Min(MaxLoginFrameBytes, _options.MaxFrameBytes) : _options.MaxFrameBytes;
        if (length < (ExpectsBareTokens ? 0 : 8) || length > most)
            throw new WireFormatException($"a request of {length} bytes; they have 8 to {most} (MaxFrameBytes)");
        _receivedFrom += 4;
        var budget = _memory.For(length);
        await budget.TakeAsync(length).ConfigureAwait(false);
        var bytes = ArrayPool<byte>.Shared.Rent(Math.Min(length, TrustedFrameBytes));
        var filled = Math.Min(length, _receivedTo - _receivedFrom);
        try
        {
            _received.AsSpan(_receivedFrom, filled).CopyTo(bytes);
            _receivedFrom += filled;
            if (filled < length)
                StartFrameTimer();
            while (filled < length)
            {
                if (filled == bytes.Length)
                    bytes = Enlarge(bytes, filled, length);
                var room = bytes.AsMemory(filled, Math.Min(bytes.Length, length) - filled);
                var read = await ReceiveAsync(room).ConfigureAwait(false);
                if (read == 0)
                    throw new WireFormatException($"the connection ended after {filled} of a request's {length} bytes");
                filled += read;
            }
        }
        catch
        {
            ArrayPool<byte>.Shared.Return(bytes);
            budget.Release(length);
            throw;
        }
        _frameTimer?.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        if (_receivedFrom == _receivedTo)
            GiveBackReceived();
        return new Frame(bytes, length, budget);
    }

    private static byte[] Enlarge(byte[] bytes, int filled, int length)
    {
        var larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(length, filled * 4L));
        bytes.AsSpan(0, filled).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(bytes);
        return larger;
    }

    /// <summary>Receives until so many bytes are there; false at the end of the stream.</summary>
    private async ValueTask<bool> ReceiveAsync(int least)
    {
        if (_received is null)
        {
            // Waiting with an empty buffer costs no memory while the client is silent.
            await ReceiveAsync(Memory<byte>.Empty).ConfigureAwait(false);
            _received = ArrayPool<byte>.Shared.Rent(ReceiveBytes);
            _receivedFrom = _receivedTo = 0;
        }
        if (_receivedFrom > 0)
        {
            _received.AsSpan(_receivedFrom, _receivedTo - _receivedFrom).CopyTo(_received);
            _receivedTo -= _receivedFrom;
            _receivedFrom = 0;
        }
        while (_receivedTo < least)
        {
            var read = await ReceiveAsync(_received.AsMemory(_receivedTo)).ConfigureAwait(false);
            if (read == 0)
                return _receivedTo == 0 ? false : throw new WireFormatException($"the connection ended inside a request's length");
            _receivedTo += read;
        }
        return true;
    }

    private void StartFrameTimer()
    {
        _frameTimer ??= _time.CreateTimer(
            static state => ((Connection)state!).Close("a request stopped in the middle (FrameTimeout)"), this,
            Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _frameTimer.Change(_options.FrameTimeout, Timeout.InfiniteTimeSpan);
    }

    private void GiveBackReceived()
    {
        if (_received is null)
            return;
        ArrayPool<byte>.Shared.Return(_received);
        _received = null;
        _receivedFrom = _receivedTo = 0;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Closed the connection of {Remote}: {Reason}")]
    private partial void LogRefused(IPEndPoint remote, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "A fault of the broker ended the connection of {Remote}")]
    private partial void LogBug(IPEndPoint remote, Exception error);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The connection of {Remote} is gone: {Reason}")]
    private partial void LogGone(IPEndPoint remote, string reason);
}
