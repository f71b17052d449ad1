using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Millrace.Raft.Transport;

namespace Millrace.Coordination.Grpc.Http2;

/// <summary>
/// Accepts clients, with TLS or without, and reads from them, each on one of a few threads that also carry quick calls as far as they go at once.
/// </summary>
internal sealed partial class Http2Listener : IAsyncDisposable
{
    private const long ListenerKey = 0;
    private readonly GrpcServer _server;
    private readonly ConnectionLimits _limits;
    private readonly ILogger _logger;
    private readonly TlsIdentity? _tls;
    private readonly Socket _listener;
    private readonly Worker[] _workers;
    private long _lastKey;
    private volatile bool _isStopping;
    private volatile bool _isAccepting = true;

    public Http2Listener(IPEndPoint address, ConnectionLimits limits, GrpcServer server, ILogger logger, TlsIdentity? tls)
    {
        _tls = tls;
        _server = server;
        _limits = limits;
        _logger = logger;
        _listener = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { Blocking = false };
        try
        {
            _listener.Bind(address);
            _listener.Listen(512);
        }
        catch (SocketException error)
        {
            _listener.Dispose();
            throw new IOException($"cannot listen on {address}: {error.Message}", error);
        }
        _workers = new Worker[limits.Threads];
        for (var i = 0; i < _workers.Length; i++)
            _workers[i] = new Worker(this, i);
        _workers[0].Events.Add((int)_listener.Handle, ListenerKey, Epoll.In);
        foreach (var worker in _workers)
            worker.Thread.Start();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

    /// <summary>Takes no more clients and lets calls end, as long as there is patience.</summary>
    public async Task StopAsync(CancellationToken patience)
    {
        _isAccepting = false;
        foreach (var client in Clients())
            client.Connection.GoAway();
        try
        {
            while (Clients().Any(c => !c.Connection.IsIdle))
                await Task.Delay(TimeSpan.FromMilliseconds(10), _server.Time, patience).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // What is still under way is cut.
        }
    }

    public async ValueTask DisposeAsync()
    {
        _isStopping = true;
        await Task.Run(() =>
        {
            foreach (var worker in _workers)
                worker.Thread.Join();
        }).ConfigureAwait(false);
        _listener.Dispose();
    }

    private IEnumerable<Client> Clients() => _workers.SelectMany(static w => w.Clients.Values);

    private void Accept()
    {
        while (_isAccepting)
        {
            Socket socket;
            try
            {
                socket = _listener.Accept();
            }
            catch (SocketException error)
            {
                if (error.SocketErrorCode != SocketError.WouldBlock)
                    LogNotAccepted(_logger, error.Message);
                return;
            }
            socket.Blocking = false;
            socket.NoDelay = true;
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            var key = Interlocked.Increment(ref _lastKey);
            var worker = _workers[key % _workers.Length];
            var client = new Client(socket, key, worker.Events, _server.Time.GetTimestamp());
            client.Connection = new Http2Connection(client, _limits, _server);
            if (_tls is not null)
            {
                client.Tls = new TlsLayer(_tls, client.SendBytes, client.Shutdown);
                client.Tls.Start(client.Connection);
            }
            worker.Clients[key] = client;
            worker.Events.Add((int)socket.Handle, key, Epoll.In);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "a client could not be accepted: {Reason}")]
    private static partial void LogNotAccepted(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Critical, Message = "a thread that reads from clients ended")]
    private static partial void LogEnded(ILogger logger, Exception error);

    /// <summary>One thread and its clients.</summary>
    private sealed class Worker
    {
        private const int WakeEveryMillis = 100;
        private readonly Http2Listener _owner;
        private readonly List<Client> _holdPongs = [];
        private long _checkedAt;
        private long _pongsCheckedAt;

        public Worker(Http2Listener owner, int number)
        {
            _owner = owner;
            Thread = new Thread(Run) { Name = $"grpc {number}", IsBackground = true };
        }

        public Thread Thread { get; }

        public Epoll Events { get; } = new();

        public ConcurrentDictionary<long, Client> Clients { get; } = new();

        private void Run()
        {
            try
            {
                while (!_owner._isStopping)
                {
                    var count = Events.Wait(_holdPongs.Count > 0 ? PongMillis : WakeEveryMillis);
                    OutputBatch.Begin();
                    for (var i = 0; i < count; i++)
                        Take(Events.At(i));
                    OutputBatch.End();
                    SendPongs();
                    CloseSilent();
                }
            }
            catch (Exception error)
            {
                // Our own bug or no more memory: clients find other members.
                LogEnded(_owner._logger, error);
            }
            foreach (var client in Clients.Values)
                Close(client);
            Events.Dispose();
        }

        private void Take((long Key, uint Events) happened)
        {
            if (happened.Key == ListenerKey)
            {
                _owner.Accept();
                return;
            }
            if (!Clients.TryGetValue(happened.Key, out var client))
                return;
            if ((happened.Events & Epoll.Out) != 0)
                client.Writable();
            if ((happened.Events & (Epoll.In | Epoll.Hup | Epoll.Error)) != 0 && !client.Read())
                Close(client);
            if (client.Connection.HoldsPong && !client.IsListed)
            {
                client.IsListed = true;
                _holdPongs.Add(client);
            }
        }

        private int PongMillis => Math.Clamp((int)_owner._limits.PongPatience.TotalMilliseconds, 1, WakeEveryMillis);

        /// <summary>Those that waited long enough for something to leave with.</summary>
        private void SendPongs()
        {
            var time = _owner._server.Time;
            var patience = _owner._limits.PongPatience;
            if (_holdPongs.Count == 0 || time.GetElapsedTime(_pongsCheckedAt) < patience / 4)
                return;
            _pongsCheckedAt = time.GetTimestamp();
            for (var i = _holdPongs.Count - 1; i >= 0; i--)
            {
                var client = _holdPongs[i];
                if (client.Connection.HoldsPong)
                {
                    if (time.GetElapsedTime(client.Connection.HoldsPongSince) < patience)
                        continue;
                    client.Connection.FlushPong();
                }
                client.IsListed = false;
                _holdPongs[i] = _holdPongs[^1];
                _holdPongs.RemoveAt(_holdPongs.Count - 1);
            }
        }

        private void Close(Client client)
        {
            Clients.TryRemove(client.Key, out _);
            client.Connection.Closed();
            client.Tls?.Dispose();
            client.Socket.Dispose();
        }

        /// <summary>Whoever connects and says nothing is sent away.</summary>
        private void CloseSilent()
        {
            var time = _owner._server.Time;
            if (time.GetElapsedTime(_checkedAt) < TimeSpan.FromSeconds(1))
                return;
            _checkedAt = time.GetTimestamp();
            foreach (var client in Clients.Values)
            {
                if (!client.Connection.HasPreface && time.GetElapsedTime(client.Since) > _owner._limits.HandshakeTimeout)
                    Close(client);
            }
        }
    }

    private sealed class Client(Socket socket, long key, Epoll events, long since) : IHttp2Transport
    {
        private readonly Lock _watching = new();
        private bool _wantsRoom;
        private bool _reads = true;

        public Socket Socket => socket;

        public long Key => key;

        public long Since => since;

        /// <summary>The reader looks after its answer to a ping.</summary>
        public bool IsListed { get; set; }

        public Http2Connection Connection { get; set; } = null!;

        /// <summary>Null: in the clear.</summary>
        public TlsLayer? Tls { get; set; }

        /// <summary>Takes what has come; false when the connection is over.</summary>
        public bool Read()
        {
            var buffer = Tls is null ? Connection.Buffer : Tls.Buffer;
            // What came before is still being decrypted elsewhere: the event comes again.
            if (buffer.IsEmpty)
                return true;
            var count = socket.Receive(buffer.Span, SocketFlags.None, out var error);
            if (error == SocketError.WouldBlock)
                return true;
            if (error != SocketError.Success || count == 0)
                return false;
            return Tls is null ? Connection.Received(count) : Tls.Received(count);
        }

        public void Writable()
        {
            if (Tls is not null)
            {
                if (!Tls.Writable())
                    return;
                Watch();
            }
            Connection.Writable();
        }

        public int Send(ReadOnlySpan<byte> data)
        {
            if (Tls is null)
                return SendBytes(data);
            var count = Tls.Send(data);
            if (Tls.HasUnsent)
                Watch();
            return count;
        }

        public int SendBytes(ReadOnlySpan<byte> data)
        {
            try
            {
                var count = socket.Send(data, SocketFlags.None, out var error);
                return error switch
                {
                    SocketError.Success => count,
                    SocketError.WouldBlock => 0,
                    _ => -1,
                };
            }
            catch (ObjectDisposedException)
            {
                return -1;
            }
        }

        public void Watch(bool write, bool read)
        {
            lock (_watching)
                (_wantsRoom, _reads) = (write, read);
            Watch();
        }

        public void Shutdown()
        {
            try
            {
                socket.Shutdown(SocketShutdown.Both);
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                // The other side was quicker.
            }
        }

        private void Watch()
        {
            lock (_watching)
            {
                try
                {
                    events.Change((int)socket.Handle, key, (_wantsRoom || Tls?.HasUnsent == true ? Epoll.Out : 0) | (_reads ? Epoll.In : 0));
                }
                catch (Exception error) when (error is ObjectDisposedException or IOException)
                {
                    // Closed meanwhile by the thread that reads.
                }
            }
        }
    }
}
