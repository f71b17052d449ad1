using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Tasks.Sources;
using Millrace.Raft.Transport;

namespace Millrace.Coordination.Grpc.Http2;

/// <summary>
/// TLS between a socket that never waits and a connection: what came from the socket is fed in, what was decrypted goes to the connection on the same thread, and what
/// is to leave waits here as ciphertext while the socket takes no more. The handshake, which costs a millisecond of computing, runs on the pool.
/// </summary>
internal sealed class TlsLayer : IDisposable
{
    private const int ReadBytes = 32 << 10;

    /// <summary>Plaintext that is encrypted at once, while the socket takes it.</summary>
    private const int MaxEncrypted = 64 << 10;

    private readonly TlsIdentity _identity;
    private readonly Ciphertext _inner;
    private readonly SslStream _secure;
    private readonly Action _shutdown;
    private volatile bool _isReady;
    private volatile bool _isOver;

    /// <summary>Sends without waiting: bytes taken, 0 for none now, -1 when the socket is broken.</summary>
    public delegate int SendBytes(ReadOnlySpan<byte> data);

    /// <param name="identity">Of this side.</param>
    /// <param name="send">To the socket.</param>
    /// <param name="shutdown">Ends the socket, so that its reader hears of it.</param>
    public TlsLayer(TlsIdentity identity, SendBytes send, Action shutdown)
    {
        _identity = identity;
        _shutdown = shutdown;
        _inner = new Ciphertext(send);
        _secure = new SslStream(_inner, leaveInnerStreamOpen: true);
    }

    /// <summary>Ciphertext waits for the socket.</summary>
    public bool HasUnsent => _inner.HasUnsent;

    /// <summary>Where the next bytes of the socket belong; empty while those before are being decrypted.</summary>
    public Memory<byte> Buffer => _inner.Buffer;

    /// <summary>Shakes hands and carries what comes to the connection until either ends. Fails by no exception.</summary>
    public void Start(Http2Connection connection) => _ = Task.Run(() => RunAsync(connection));

    /// <summary>So many bytes of the socket are in <see cref="Buffer"/>; false when all is over.</summary>
    public bool Received(int count)
    {
        _inner.Received(count);
        return !_isOver;
    }

    /// <summary>Encrypts and sends; as <see cref="IHttp2Transport.Send"/>. What the socket does not take of it waits here. One caller at a time.</summary>
    public int Send(ReadOnlySpan<byte> data)
    {
        if (!_isReady || _isOver)
            return -1;
        if (!_inner.Drain())
            return _inner.IsBroken ? -1 : 0;
        try
        {
            var most = data[..Math.Min(data.Length, MaxEncrypted)];
            _secure.Write(most);
            _inner.Drain();
            return _inner.IsBroken ? -1 : most.Length;
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            return -1;
        }
    }

    /// <summary>The socket takes bytes again; true when none wait here any more.</summary>
    public bool Writable() => _inner.Drain();

    /// <summary>The socket has ended.</summary>
    public void Dispose() => _inner.End();

    private async Task RunAsync(Http2Connection connection)
    {
        try
        {
            var options = _identity.ForServer(SslApplicationProtocol.Http2);
            options.ApplicationProtocols!.Add(SslApplicationProtocol.Http11);
            await _secure.AuthenticateAsServerAsync(options).ConfigureAwait(false);
            connection.CertifiedName = (_secure.RemoteCertificate as X509Certificate2)?.GetNameInfo(X509NameType.SimpleName, forIssuer: false);
            _inner.IsInline = true;
            _isReady = true;
            while (await _secure.ReadAsync(connection.Buffer).ConfigureAwait(false) is > 0 and var count && connection.Received(count))
            {
            }
        }
        catch (Exception error) when (error is AuthenticationException or IOException)
        {
            // The client hears of it by TLS's own alert.
        }
        _inner.Drain();
        _isOver = true;
        await _secure.DisposeAsync().ConfigureAwait(false);
        _shutdown();
    }

    /// <summary>The socket's side of TLS as the stream that .NET wants: reads wait for what is fed, writes gather what is to be sent.</summary>
    private sealed class Ciphertext(SendBytes send) : Stream, IValueTaskSource<int>
    {
        private readonly Lock _in = new();
        private readonly Lock _out = new();
        private readonly byte[] _received = new byte[ReadBytes];
        private int _start;
        private int _end;
        private ManualResetValueTaskSourceCore<int> _reader = new() { RunContinuationsAsynchronously = true };
        private Memory<byte> _wanted;
        private bool _isWaiting;
        private bool _isEnded;
        private byte[] _unsent = new byte[4 << 10];
        private int _unsentStart;
        private int _unsentEnd;

        /// <summary>Who feeds bytes carries them on.</summary>
        public bool IsInline
        {
            set
            {
                lock (_in)
                    _reader.RunContinuationsAsynchronously = !value;
            }
        }

        public bool IsBroken { get; private set; }

        public bool HasUnsent
        {
            get
            {
                lock (_out)
                    return _unsentEnd > _unsentStart;
            }
        }

        public Memory<byte> Buffer
        {
            get
            {
                lock (_in)
                {
                    if (_start == _end)
                        _start = _end = 0;
                    return _received.AsMemory(_end);
                }
            }
        }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public void Received(int count)
        {
            int taken;
            lock (_in)
            {
                _end += count;
                if (!_isWaiting)
                    return;
                taken = Take(_wanted.Span);
                _isWaiting = false;
                _wanted = default;
            }
            _reader.SetResult(taken);
        }

        public void End()
        {
            lock (_in)
            {
                if (_isEnded)
                    return;
                _isEnded = true;
                if (!_isWaiting)
                    return;
                _isWaiting = false;
            }
            _reader.SetResult(0);
        }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            lock (_in)
            {
                if (_end > _start)
                    return ValueTask.FromResult(Take(buffer.Span));
                // A read of nothing asks whether there is something.
                if (_isEnded)
                    return ValueTask.FromResult(0);
                _reader.Reset();
                _wanted = buffer;
                _isWaiting = true;
                return new ValueTask<int>(this, _reader.Version);
            }
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            lock (_out)
            {
                if (_unsent.Length - _unsentEnd < buffer.Length)
                {
                    var kept = _unsentEnd - _unsentStart;
                    var target = kept + buffer.Length > _unsent.Length ? new byte[Math.Max(kept + buffer.Length, _unsent.Length * 2)] : _unsent;
                    _unsent.AsSpan(_unsentStart, kept).CopyTo(target);
                    (_unsent, _unsentStart, _unsentEnd) = (target, 0, kept);
                }
                buffer.CopyTo(_unsent.AsSpan(_unsentEnd));
                _unsentEnd += buffer.Length;
            }
        }

        /// <summary>Only the handshake and answers to the other side's own words come this way, and nobody flushes those.</summary>
        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Write(buffer.Span);
            Drain();
            return ValueTask.CompletedTask;
        }

        /// <summary>Sends what the socket takes; true when nothing waits any more.</summary>
        public bool Drain()
        {
            lock (_out)
            {
                while (_unsentEnd > _unsentStart && !IsBroken)
                {
                    var count = send(_unsent.AsSpan(_unsentStart, _unsentEnd - _unsentStart));
                    if (count == 0)
                        return false;
                    if (count < 0)
                        IsBroken = true;
                    else
                        _unsentStart += count;
                }
                if (IsBroken)
                    return false;
                _unsentStart = _unsentEnd = 0;
                return true;
            }
        }

        int IValueTaskSource<int>.GetResult(short token) => _reader.GetResult(token);

        ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => _reader.GetStatus(token);

        void IValueTaskSource<int>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            _reader.OnCompleted(continuation, state, token, flags);

        public override void Flush() => Drain();

        public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        private int Take(Span<byte> target)
        {
            var count = Math.Min(target.Length, _end - _start);
            _received.AsSpan(_start, count).CopyTo(target);
            _start += count;
            return count;
        }
    }
}
