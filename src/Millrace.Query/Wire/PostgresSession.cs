using Millrace.Columnar;
using Millrace.Query.Text;

namespace Millrace.Query.Wire;

/// <summary>
/// The protocol after start-up: takes one message after the other, runs what it asks for and writes the answers (PostgreSQL, Message
/// Flow). It knows no socket; <paramref name="send"/> takes what was written so far whenever there is enough of it.
/// </summary>
internal sealed class PostgresSession(SqlSession session, BackendWriter writer, PostgresOptions options, Func<ValueTask> send, CancellationToken gone)
{
    private readonly Dictionary<string, Portal> _portals = new(StringComparer.Ordinal);
    private SqlStatement? _unnamed;
    private bool _isSkipping;

    /// <summary>Handles one message; false when the client said goodbye.</summary>
    /// <exception cref="ProtocolException">The message cannot be read: the connection must end.</exception>
    public async ValueTask<bool> HandleAsync(FrontendFrame frame)
    {
        if (_isSkipping && frame.Tag is not (FrontendFrame.Sync or FrontendFrame.Terminate))
            return true;
        try
        {
            switch (frame.Tag)
            {
                case FrontendFrame.Query:
                    await QueryAsync(ReadQuery(frame));
                    return true;
                case FrontendFrame.Parse:
                    await ParseAsync(ParseMessage.Read(frame.Body.Span));
                    return true;
                case FrontendFrame.Bind:
                    await BindAsync(BindMessage.Read(frame.Body.Span));
                    return true;
                case FrontendFrame.Describe:
                    await DescribeAsync(TargetMessage.Read(frame.Body.Span));
                    return true;
                case FrontendFrame.Execute:
                    await ExecuteAsync(ExecuteMessage.Read(frame.Body.Span));
                    return true;
                case FrontendFrame.Close:
                    await CloseAsync(TargetMessage.Read(frame.Body.Span));
                    return true;
                case FrontendFrame.Sync:
                    await SyncAsync();
                    return true;
                case FrontendFrame.Flush:
                    await send();
                    return true;
                case FrontendFrame.Terminate:
                    return false;
                case FrontendFrame.FunctionCall:
                    throw new SqlException("function calls by protocol are not supported", SqlStates.FeatureNotSupported, hint: "use SELECT");
                case FrontendFrame.CopyData or FrontendFrame.CopyDone or FrontendFrame.CopyFail:
                    // What a client still sends of a COPY that was refused is passed over (PostgreSQL, COPY Operations).
                    return true;
                default:
                    throw new ProtocolException($"unexpected message type {frame.Tag}");
            }
        }
        catch (SqlException error) when (frame.Tag != FrontendFrame.Query)
        {
            session.Failed();
            writer.WriteError(error);
            if (frame.Tag == FrontendFrame.FunctionCall)
                await SyncAsync();
            else
                _isSkipping = true;
            return true;
        }
    }

    /// <summary>Gives up what is open.</summary>
    public async ValueTask CloseAsync()
    {
        await ClosePortalsAsync();
        if (_unnamed is not null)
            await _unnamed.DisposeAsync();
        _unnamed = null;
    }

    private static string ReadQuery(FrontendFrame frame)
    {
        var reader = new FrameReader(frame.Body.Span);
        var text = reader.ReadCString();
        reader.ExpectEnd();
        return text;
    }

    private async ValueTask QueryAsync(string text)
    {
        var parts = SqlScript.Split(text);
        if (parts.Count == 0)
            writer.WriteEmpty('I');
        session.BeginScript();
        try
        {
            foreach (var part in parts)
            {
                try
                {
                    await using var result = await session.ExecuteAsync(part.Text, null, gone);
                    await WriteResultAsync(result);
                }
                catch (SqlException error)
                {
                    session.Failed();
                    var shift = SqlScript.CharactersBefore(text, part.Start);
                    writer.WriteError(error.Position is { } at ? error.At(at + shift) : error);
                    break;
                }
            }
        }
        finally
        {
            session.EndScript();
        }
        // The unnamed statement and portal end with a simple query.
        await ClosePortalsAsync();
        writer.WriteReadyForQuery(session.Transaction);
        await send();
    }

    private async ValueTask WriteResultAsync(SqlResult result)
    {
        if (result.Notice is { } notice)
            writer.WriteNotice(notice);
        if (result.Copy is { } format)
        {
            await WriteCopyAsync(result, format);
        }
        else if (result.ReturnsRows)
        {
            writer.WriteRowDescription(result.Columns, []);
            var encoder = new RowEncoder(result.Columns, [], session.Settings.Zone);
            while (await result.NextAsync(gone) is { } batch)
                await WriteRowsAsync(encoder, batch);
        }
        if (result.CommandTag.Length > 0)
            writer.WriteCommandComplete(result.CommandTag);
        else
            writer.WriteEmpty('I');
    }

    private async ValueTask WriteRowsAsync(RowEncoder encoder, ColumnBatch batch)
    {
        using (batch)
        {
            for (var row = 0; row < batch.RowCount; row++)
            {
                encoder.WriteRow(writer, batch, row);
                if (writer.Length >= options.SendBytes)
                    await send();
            }
        }
    }

    private async ValueTask WriteCopyAsync(SqlResult result, CopyFormat format)
    {
        writer.WriteCopyOut(result.Columns.Count);
        using var encoder = new CopyEncoder(new RowEncoder(result.Columns, [], session.Settings.Zone), result.Columns, format);
        encoder.WriteHeader(writer);
        while (await result.NextAsync(gone) is { } batch)
        {
            using (batch)
            {
                for (var row = 0; row < batch.RowCount; row++)
                {
                    encoder.WriteRow(writer, batch, row);
                    if (writer.Length >= options.SendBytes)
                        await send();
                }
            }
        }
        writer.WriteEmpty('c');
    }

    private async ValueTask ParseAsync(ParseMessage message)
    {
        if (message.Statement.Length > 0 && session.Prepared.ContainsKey(message.Statement))
            throw new SqlException($"prepared statement \"{message.Statement}\" already exists", SqlStates.DuplicateStatement);
        var declared = new PostgresType?[message.ParameterTypes.Length];
        for (var i = 0; i < declared.Length; i++)
        {
            var oid = message.ParameterTypes[i];
            if (oid is not (0 or 705))
            {
                declared[i] = PostgresTypes.Find(oid) ?? throw new SqlException(
                    $"type {oid} of parameter ${i + 1} is not supported", SqlStates.FeatureNotSupported, hint: "send it as text without a type");
            }
        }
        if (message.Statement.Length == 0 && _unnamed is not null)
        {
            await _unnamed.DisposeAsync();
            _unnamed = null;
        }
        var statement = await session.PrepareAsync(message.Sql, declared, gone);
        if (message.Statement.Length == 0)
            _unnamed = statement;
        else
            session.Keep(message.Statement, statement);
        writer.WriteEmpty('1');
    }

    private async ValueTask BindAsync(BindMessage message)
    {
        var statement = Find(message.Statement);
        var count = statement.ParameterTypes.Count;
        if (message.Values.Length != count)
        {
            throw new SqlException(
                $"bind message supplies {message.Values.Length} parameters, but prepared statement \"{message.Statement}\" requires {count}", SqlStates.ProtocolViolation);
        }
        var values = new object?[count];
        for (var i = 0; i < count; i++)
        {
            var binary = BindMessage.FormatOf(message.Formats, i) == 1;
            values[i] = ParameterReader.Read(statement.ParameterTypes[i].Oid, binary, message.Values[i], i + 1);
        }
        if (message.Portal.Length > 0 && _portals.ContainsKey(message.Portal))
            throw new SqlException($"cursor \"{message.Portal}\" already exists", SqlStates.DuplicateCursor);
        await ClosePortalAsync(message.Portal);
        _portals[message.Portal] = new Portal(statement, values, message.ResultFormats);
        writer.WriteEmpty('2');
    }

    private async ValueTask DescribeAsync(TargetMessage message)
    {
        if (message.IsPortal)
        {
            // Running it tells the true types, whatever the parameters are; the rows come with Execute.
            var portal = FindPortal(message.Name);
            WriteColumns(await portal.StartAsync(session, gone) is { Copy: null } result ? result.Columns : [], portal.Formats);
            return;
        }
        var statement = Find(message.Name);
        writer.WriteParameterDescription(statement.ParameterTypes);
        WriteColumns(statement.Columns ?? [], []);
    }

    private void WriteColumns(IReadOnlyList<SqlColumn> columns, short[] formats)
    {
        if (columns.Count == 0)
        {
            writer.WriteEmpty('n');
            return;
        }
        if (formats.Length > 1 && formats.Length != columns.Count)
        {
            throw new SqlException(
                $"bind message has {formats.Length} result formats but query has {columns.Count} columns", SqlStates.ProtocolViolation);
        }
        writer.WriteRowDescription(columns, formats);
    }

    private async ValueTask ExecuteAsync(ExecuteMessage message)
    {
        var portal = FindPortal(message.Portal);
        var result = await portal.StartAsync(session, gone);
        if (result.Notice is { } notice)
            writer.WriteNotice(notice);
        if (result.Copy is { } format)
        {
            await WriteCopyAsync(result, format);
        }
        else if (result.ReturnsRows)
        {
            var encoder = portal.Encoder(result, session.Settings.Zone);
            long left = message.MaxRows > 0 ? message.MaxRows : long.MaxValue;
            while (left > 0 && await portal.PeekAsync(gone) is { } batch)
            {
                for (; left > 0 && portal.Row < batch.RowCount; portal.Row++, portal.Sent++, left--)
                {
                    encoder.WriteRow(writer, batch, portal.Row);
                    if (writer.Length >= options.SendBytes)
                        await send();
                }
            }
            if (left == 0 && await portal.PeekAsync(gone) is not null)
            {
                writer.WriteEmpty('s');
                return;
            }
            writer.WriteCommandComplete(result.Tag is "SELECT" or "FETCH" ? $"{result.Tag} {portal.Sent}" : result.CommandTag);
            return;
        }
        if (result.CommandTag.Length > 0)
            writer.WriteCommandComplete(result.CommandTag);
        else
            writer.WriteEmpty('I');
    }

    private async ValueTask CloseAsync(TargetMessage message)
    {
        if (message.IsPortal)
        {
            await ClosePortalAsync(message.Name);
        }
        else if (message.Name.Length > 0)
        {
            await session.DropAsync(message.Name);
        }
        else if (_unnamed is not null)
        {
            await _unnamed.DisposeAsync();
            _unnamed = null;
        }
        writer.WriteEmpty('3');
    }

    private async ValueTask SyncAsync()
    {
        _isSkipping = false;
        if (session.Transaction != TransactionState.Open)
            await ClosePortalsAsync();
        writer.WriteReadyForQuery(session.Transaction);
        await send();
    }

    private SqlStatement Find(string name)
    {
        if (name.Length == 0)
            return _unnamed ?? throw new SqlException("unnamed prepared statement does not exist", SqlStates.InvalidStatementName);
        return session.Prepared.TryGetValue(name, out var statement)
            ? statement
            : throw new SqlException($"prepared statement \"{name}\" does not exist", SqlStates.InvalidStatementName);
    }

    private Portal FindPortal(string name) => _portals.TryGetValue(name, out var portal)
        ? portal
        : throw new SqlException($"portal \"{name}\" does not exist", SqlStates.InvalidCursorName);

    private async ValueTask ClosePortalAsync(string name)
    {
        if (_portals.Remove(name, out var portal))
            await portal.DisposeAsync();
    }

    private async ValueTask ClosePortalsAsync()
    {
        foreach (var portal in _portals.Values)
            await portal.DisposeAsync();
        _portals.Clear();
    }

    /// <summary>A bound statement and how far its rows were sent.</summary>
    private sealed class Portal(SqlStatement statement, object?[] values, short[] formats) : IAsyncDisposable
    {
        private SqlResult? _result;
        private RowEncoder? _encoder;
        private ColumnBatch? _batch;

        public short[] Formats { get; } = formats;

        /// <summary>The next row of the batch at hand.</summary>
        public int Row { get; set; }

        public long Sent { get; set; }

        public async ValueTask<SqlResult> StartAsync(SqlSession session, CancellationToken cancellation) =>
            _result ??= await session.ExecuteAsync(statement, values, cancellation);

        public RowEncoder Encoder(SqlResult result, TimeZoneInfo zone) => _encoder ??= new RowEncoder(result.Columns, Formats, zone);

        /// <summary>A batch with rows that were not sent yet, or null at the end.</summary>
        public async ValueTask<ColumnBatch?> PeekAsync(CancellationToken cancellation)
        {
            while (_result is not null && (_batch is null || Row >= _batch.RowCount))
            {
                _batch?.Dispose();
                _batch = await _result.NextAsync(cancellation);
                Row = 0;
                if (_batch is null)
                    break;
            }
            return _batch;
        }

        public async ValueTask DisposeAsync()
        {
            _batch?.Dispose();
            _batch = null;
            if (_result is not null)
                await _result.DisposeAsync();
        }
    }
}
