using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace Millrace.Query.Wire;

/// <summary>
/// Speaks PostgreSQL's protocol 3.0 on a port: simple and extended queries, text and binary formats, COPY to the client, cancel requests.
/// Dispose to close the port and all connections. The engine stays the caller's.
/// </summary>
public sealed partial class PostgresServer : IAsyncDisposable
{
    private readonly Socket _listener;
    private readonly SqlEngine _engine;
    private readonly PostgresOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancelKeys _keys = new();
    private readonly CancellationTokenSource _shutdown = new();
    private readonly Lock _lock = new();
    private readonly HashSet<Task> _connections = [];
    private Task _accepting = Task.CompletedTask;

    private PostgresServer(Socket listener, SqlEngine engine, PostgresOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        _listener = listener;
        _engine = engine;
        _options = options;
        _time = time;
        _logger = loggers.CreateLogger<PostgresServer>();
        EndPoint = (IPEndPoint)listener.LocalEndPoint!;
    }

    /// <summary>Where it listens.</summary>
    public IPEndPoint EndPoint { get; }

    /// <summary>Clients that are connected now.</summary>
    public int ConnectionCount
    {
        get
        {
            lock (_lock)
                return _connections.Count;
        }
    }

    /// <exception cref="IOException">The port is in use or may not be taken.</exception>
    /// <exception cref="ArgumentException">The address is not loopback and there is no password.</exception>
    public static Task<PostgresServer> StartAsync(
        PostgresOptions options, SqlEngine engine, TimeProvider time, ILoggerFactory loggers, CancellationToken cancellation = default)
    {
        cancellation.ThrowIfCancellationRequested();
        if (options.Password is null && !IPAddress.IsLoopback(options.Address))
            throw new ArgumentException($"the PostgreSQL port cannot listen on {options.Address} without a password: set Password, or listen on 127.0.0.1");
        var listener = new Socket(options.Address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            listener.Bind(new IPEndPoint(options.Address, options.Port));
            listener.Listen(128);
        }
        catch (SocketException error)
        {
            listener.Dispose();
            throw new IOException(
                $"cannot listen for PostgreSQL on {options.Address}:{options.Port}: {error.Message}; end the program that has the port, or choose another", error);
        }
        var server = new PostgresServer(listener, engine, options, time, loggers);
        server._accepting = server.AcceptAsync();
        return Task.FromResult(server);
    }

    public async ValueTask DisposeAsync()
    {
        await _shutdown.CancelAsync();
        _listener.Dispose();
        await _accepting;
        Task[] open;
        lock (_lock)
            open = [.. _connections];
        await Task.WhenAll(open);
        _shutdown.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_shutdown.IsCancellationRequested)
        {
            Socket socket;
            try
            {
                socket = await _listener.AcceptAsync(_shutdown.Token);
            }
            catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException error)
            {
                // A client that left before it was accepted, or no more file handles: the next one may do better.
                AcceptFailed(error.Message);
                continue;
            }
            socket.NoDelay = true;
            // Registered before it can end, so that it cannot remove itself first.
            var started = new TaskCompletionSource();
            var serving = ServeAsync(socket, started.Task);
            lock (_lock)
                _connections.Add(serving);
            _ = serving.ContinueWith(Forget, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            started.SetResult();
        }
    }

    private void Forget(Task serving)
    {
        lock (_lock)
            _connections.Remove(serving);
    }

    private async Task ServeAsync(Socket socket, Task registered)
    {
        await registered.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        var peer = socket.RemoteEndPoint?.ToString() ?? "?";
        try
        {
            if (ConnectionCount > _options.MaxConnections)
            {
                await RefuseAsync(socket);
                return;
            }
            await using var connection = new PostgresConnection(
                new NetworkStream(socket, ownsSocket: true), peer, _engine, _options, _keys, _time, _logger);
            await connection.RunAsync(_shutdown.Token);
        }
        catch (Exception error)
        {
            // Our own bug in one connection ends that connection alone; it is told loudly.
            ConnectionFailed(error, peer);
        }
    }

    private async Task RefuseAsync(Socket socket)
    {
        using (socket)
        using (var writer = new BackendWriter(512))
        {
            writer.WriteError(
                new SqlException($"sorry, too many clients already: MaxConnections is {_options.MaxConnections}", SqlStates.TooManyConnections), "FATAL");
            await socket.SendAsync(writer.Written, _shutdown.Token);
        }
    }

    [LoggerMessage(3, LogLevel.Warning, "A PostgreSQL client could not be accepted: {Reason}")]
    private partial void AcceptFailed(string reason);

    [LoggerMessage(4, LogLevel.Error, "The PostgreSQL connection of {Peer} failed")]
    private partial void ConnectionFailed(Exception error, string peer);
}
