using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;

namespace Millrace.Query.Wire;

/// <summary>
/// One client: receives into a pipe, hands each message to the session and sends what it writes. Receiving goes on while a statement is at
/// work, so that a client that goes away stops it.
/// </summary>
internal sealed partial class PostgresConnection : IAsyncDisposable
{
    private const int ReceiveBytes = 16 * 1024;

    private readonly Stream _stream;
    private readonly SqlEngine _engine;
    private readonly PostgresOptions _options;
    private readonly CancelKeys _keys;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly string _peer;
    private readonly BackendWriter _writer = new();
    private readonly Pipe _pipe;
    private readonly CancellationTokenSource _gone = new();
    private SqlSession? _session;

    public PostgresConnection(
        Stream stream, string peer, SqlEngine engine, PostgresOptions options, CancelKeys keys, TimeProvider time, ILogger logger)
    {
        _stream = stream;
        _peer = peer;
        _engine = engine;
        _options = options;
        _keys = keys;
        _time = time;
        _logger = logger;
        _pipe = new Pipe(new PipeOptions(pauseWriterThreshold: options.MaxMessageBytes + 64L * 1024, resumeWriterThreshold: options.MaxMessageBytes / 2, useSynchronizationContext: false));
    }

    /// <summary>Serves the client until it leaves, misbehaves, or <paramref name="shutdown"/>.</summary>
    public async Task RunAsync(CancellationToken shutdown)
    {
        using var link = shutdown.UnsafeRegister(static state => ((PostgresConnection)state!).Abort(), this);
        var receiving = ReceiveAsync();
        try
        {
            using (var startup = new CancellationTokenSource(_options.StartupTimeout, _time))
            using (startup.Token.UnsafeRegister(static state => ((PostgresConnection)state!).Abort(), this))
            {
                if (!await StartAsync())
                    return;
            }
            await ServeAsync();
        }
        catch (ProtocolException error)
        {
            Refused(_peer, error.Message);
            await TellAsync(new SqlException(error.Message, error.SqlState));
        }
        catch (SqlException error)
        {
            Refused(_peer, error.Message);
            await TellAsync(error);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException or SocketException)
        {
            Left(_peer, error.Message);
            if (shutdown.IsCancellationRequested)
                await TellAsync(new SqlException("terminating connection due to administrator command", SqlStates.AdminShutdown));
        }
        catch (Exception error)
        {
            // Our own bug ends this connection alone, and is told loudly.
            Failed(error, _peer);
            await TellAsync(new SqlException($"internal error: {error.Message}", SqlStates.InternalError));
        }
        finally
        {
            _gone.Cancel();
            _stream.Close();
            await receiving;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_session is not null)
        {
            _keys.Remove(_session.Id);
            await _session.DisposeAsync();
        }
        await _stream.DisposeAsync();
        _writer.Dispose();
        _gone.Dispose();
    }

    private void Abort()
    {
        try
        {
            _gone.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The connection ended at the same moment.
        }
    }

    private async Task ReceiveAsync()
    {
        Exception? failure = null;
        try
        {
            while (true)
            {
                var read = await _stream.ReadAsync(_pipe.Writer.GetMemory(ReceiveBytes), _gone.Token);
                if (read == 0)
                    break;
                _pipe.Writer.Advance(read);
                if ((await _pipe.Writer.FlushAsync(_gone.Token)).IsCompleted)
                    break;
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException or SocketException)
        {
            failure = error;
        }
        await _pipe.Writer.CompleteAsync(failure);
        _session?.Cancel();
    }

    /// <summary>The messages up to the first ReadyForQuery; false when the connection has served its purpose.</summary>
    private async Task<bool> StartAsync()
    {
        for (var requests = 0; ; requests++)
        {
            var frame = await ReadAsync(tagged: false, FrontendFrame.MaxStartupBytes);
            if (frame is null)
                return false;
            var message = FirstMessage.Read(frame.Value.Body.Span);
            _pipe.Reader.AdvanceTo(_consumed);
            switch (message)
            {
                case EncryptionRequest when requests < 2:
                    _writer.WriteByte((byte)'N');
                    await SendAsync();
                    continue;
                case CancelRequest cancel:
                    _keys.Cancel(cancel);
                    return false;
                case StartupMessage startup:
                    await OpenAsync(startup);
                    return true;
                default:
                    throw new ProtocolException("encryption was refused and is asked for again");
            }
        }
    }

    private async Task OpenAsync(StartupMessage startup)
    {
        var user = startup.Settings.GetValueOrDefault("user", "");
        if (user.Length == 0)
            throw new SqlException("no PostgreSQL user name specified in startup packet", SqlStates.InvalidAuthorization);
        var database = startup.Settings.GetValueOrDefault("database", user);
        var unknown = startup.Settings.Keys.Where(k => k.StartsWith("_pq_.", StringComparison.Ordinal)).ToArray();
        if (startup.MinorVersion > 0 || unknown.Length > 0)
            _writer.WriteNegotiateVersion(unknown);
        await AuthenticateAsync(user);
        // Clients that name no database ask for one of the user's name.
        if (database != _engine.Options.Database && database != user && database != "postgres")
        {
            throw new SqlException(
                $"database \"{database}\" does not exist", "3D000", hint: $"connect to \"{_engine.Options.Database}\"");
        }
        _session = _engine.OpenSession(new SqlSessionOptions { User = user, Application = startup.Settings.GetValueOrDefault("application_name", "") });
        foreach (var (name, value) in StartupSettings.Read(startup.Settings))
            _session.Settings.Start(name, value);
        _writer.WriteAuthenticationOk();
        foreach (var name in Sessions.SessionSettings.Reported)
            _writer.WriteParameterStatus(name, _session.Settings[name]);
        _session.Settings.Changed += _writer.WriteParameterStatus;
        _writer.WriteBackendKeyData(_session.Id, _keys.Add(_session));
        _writer.WriteReadyForQuery(TransactionState.Idle);
        await SendAsync();
    }

    private async Task AuthenticateAsync(string user)
    {
        if (_options.Password is not { } password)
        {
            if (_options.User is { } only && only != user)
                throw new SqlException($"role \"{user}\" does not exist", SqlStates.InvalidAuthorization);
            return;
        }
        var scram = new ScramServer(password, RandomNumberGenerator.GetBytes(16), RandomNumberGenerator.GetBytes(18));
        _writer.WriteSaslMechanisms(ScramServer.Mechanism);
        await SendAsync();
        _writer.WriteSasl(11, scram.First(SaslInitial(await PasswordAsync())));
        await SendAsync();
        var last = scram.Final(await PasswordAsync());
        // The user's name is looked at only here, so that a wrong one costs a stranger as long as a wrong password.
        if (last is null || (_options.User is { } expected && expected != user))
            throw new SqlException($"password authentication failed for user \"{user}\"", SqlStates.InvalidPassword);
        _writer.WriteSasl(12, last);
    }

    private static string SaslInitial(byte[] body)
    {
        var reader = new FrameReader(body);
        var mechanism = reader.ReadCString();
        if (mechanism != ScramServer.Mechanism)
            throw new ProtocolException($"unknown SASL mechanism {mechanism}");
        var length = reader.ReadInt32();
        return FrameReader.Text(reader.ReadBytes(length));
    }

    private async Task<byte[]> PasswordAsync()
    {
        var frame = await ReadAsync(tagged: true, FrontendFrame.MaxStartupBytes) ?? throw new IOException("the client left while it was asked for its password");
        var body = frame.Body.ToArray();
        _pipe.Reader.AdvanceTo(_consumed);
        return frame.Tag == FrontendFrame.Password ? body : throw new ProtocolException("expected SASL response");
    }

    private async Task ServeAsync()
    {
        var protocol = new PostgresSession(_session!, _writer, _options, SendAsync, _gone.Token);
        try
        {
            while (await ReadAsync(tagged: true, _options.MaxMessageBytes) is { } frame)
            {
                var goesOn = await protocol.HandleAsync(frame);
                _pipe.Reader.AdvanceTo(_consumed);
                if (!goesOn)
                    return;
                if (_writer.Length >= _options.SendBytes)
                    await SendAsync();
            }
        }
        finally
        {
            await protocol.CloseAsync();
        }
    }

    private SequencePosition _consumed;

    /// <summary>The next message, whose body is good until <c>AdvanceTo(_consumed)</c>; null when the client is gone.</summary>
    private async ValueTask<FrontendFrame?> ReadAsync(bool tagged, int most)
    {
        while (true)
        {
            var read = await _pipe.Reader.ReadAsync(_gone.Token);
            var buffer = read.Buffer;
            if (FrontendFrame.TryRead(ref buffer, tagged, most, out var frame))
            {
                _consumed = buffer.Start;
                return frame;
            }
            _pipe.Reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            if (!read.IsCompleted)
                continue;
            if (read.Buffer.Length > 0)
                throw new IOException("the client left in the middle of a message");
            return null;
        }
    }

    private async ValueTask SendAsync()
    {
        if (_writer.Length == 0)
            return;
        await _stream.WriteAsync(_writer.Written, _gone.Token);
        _writer.Clear();
    }

    /// <summary>Says why, as well as can be said, before the connection is closed.</summary>
    private async Task TellAsync(SqlException error)
    {
        try
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(1), _time);
            _writer.WriteError(error, "FATAL");
            await _stream.WriteAsync(_writer.Written, limit.Token);
            _writer.Clear();
        }
        catch (Exception broken) when (broken is IOException or OperationCanceledException or ObjectDisposedException or SocketException)
        {
            Left(_peer, broken.Message);
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "Closed the PostgreSQL connection of {Peer}: {Reason}")]
    private partial void Refused(string peer, string reason);

    [LoggerMessage(5, LogLevel.Error, "The PostgreSQL connection of {Peer} ended by an internal error")]
    private partial void Failed(Exception error, string peer);

    [LoggerMessage(2, LogLevel.Debug, "The PostgreSQL client {Peer} left: {Reason}")]
    private partial void Left(string peer, string reason);
}
