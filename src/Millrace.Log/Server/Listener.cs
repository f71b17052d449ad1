using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace Millrace.Log.Server;

/// <summary>Accepts connections and keeps count of them.</summary>
internal sealed partial class Listener : IAsyncDisposable
{
    private const int KeepAliveSeconds = 300;

    private readonly Socket _socket;
    private readonly Func<Socket, Connection> _connect;
    private readonly int _maxConnections;
    private readonly int _maxPerAddress;
    private readonly ILogger _log;
    private readonly ConcurrentDictionary<Connection, Task> _connections = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _accepting;

    public Listener(IPEndPoint endpoint, int maxConnections, int maxPerAddress, Func<Socket, Connection> connect, ILogger log)
    {
        _connect = connect;
        _maxConnections = maxConnections;
        _maxPerAddress = maxPerAddress;
        _log = log;
        _socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (endpoint.Address.Equals(IPAddress.IPv6Any))
                _socket.DualMode = true;
            _socket.Bind(endpoint);
            _socket.Listen(512);
        }
        catch (SocketException error)
        {
            _socket.Dispose();
            throw new IOException(
                error.SocketErrorCode == SocketError.AddressAlreadyInUse
                    ? $"port {endpoint.Port} is in use on {endpoint.Address}; stop the program that has it (ss -ltnp), or choose another port for the log"
                    : $"cannot listen on {endpoint}: {error.Message}",
                error);
        }
        Endpoint = (IPEndPoint)_socket.LocalEndPoint!;
        _accepting = AcceptAsync();
    }

    public IPEndPoint Endpoint { get; }

    public int Connections => _connections.Count;

    /// <summary>Ends the connections of clients that have gone while a request of theirs waits.</summary>
    public void DropGone()
    {
        foreach (var connection in _connections.Keys)
            connection.CloseIfGone();
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        _socket.Dispose();
        await _accepting.ConfigureAwait(false);
        foreach (var connection in _connections.Keys)
            connection.Close(null);
        await Task.WhenAll(_connections.Values).ConfigureAwait(false);
        _stopping.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stopping.IsCancellationRequested)
        {
            Socket client;
            try
            {
                client = await _socket.AcceptAsync(_stopping.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (SocketException error)
            {
                if (_stopping.IsCancellationRequested)
                    return;
                // The client left before it was accepted, or descriptors ran out: both pass.
                LogAccept(error.SocketErrorCode.ToString());
                await Task.Yield();
                continue;
            }
            if (_connections.Count >= _maxConnections)
            {
                LogTooMany(_maxConnections);
                client.Dispose();
                continue;
            }
            client.NoDelay = true;
            // A client whose machine is gone says nothing more: the system asks after it.
            client.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            client.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, KeepAliveSeconds);
            var connection = _connect(client);
            if (_maxPerAddress < int.MaxValue && _connections.Keys.Count(c => c.Remote.Address.Equals(connection.Remote.Address)) >= _maxPerAddress)
            {
                LogTooManyOf(connection.Remote.Address, _maxPerAddress);
                connection.Close(null);
                continue;
            }
            var started = new TaskCompletionSource();
            _connections[connection] = ServeAsync(connection, started.Task);
            started.SetResult();
        }
    }

    private async Task ServeAsync(Connection connection, Task started)
    {
        await started.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        await connection.RunAsync().ConfigureAwait(false);
        _connections.TryRemove(connection, out _);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Accepting a connection failed: {Reason}")]
    private partial void LogAccept(string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Refused a connection of {Address}: {Limit} are open (MaxConnectionsPerAddress)")]
    private partial void LogTooManyOf(IPAddress address, int limit);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Refused a connection: {Limit} are open (MaxConnections)")]
    private partial void LogTooMany(int limit);
}
