using System.Globalization;

namespace Millrace.Query.Text;

/// <summary>
/// Tells what a statement asks for by its first words, and takes the session's own statements apart. What DuckDB may run is told
/// here, by inclusion: any other statement is refused before it reaches the engine.
/// </summary>
internal static class SqlCommandReader
{
    private const string ReadOnlyHint =
        "tables are written by pipelines: sinks in a pipeline file; CREATE TEMP TABLE name AS SELECT ... works within a session";

    /// <exception cref="SqlException">One of the session's own statements is malformed.</exception>
    public static SqlCommand Read(string sql)
    {
        var cursor = new SqlCursor(sql);
        if (cursor.AtEnd)
            return new SqlCommand.Nothing("");
        if (cursor.SeesAny("SELECT", "WITH", "VALUES", "TABLE", "FROM", "(", "DESCRIBE", "DESC", "SUMMARIZE"))
            return new SqlCommand.Query(sql);
        return ReadSessionCommand(cursor) ?? ReadTransaction(cursor) ?? ReadRefused(cursor);
    }

    private static SqlCommand? ReadSessionCommand(SqlCursor cursor)
    {
        if (cursor.Take("EXPLAIN"))
            return ReadExplain(cursor);
        if (cursor.Take("SHOW"))
            return SqlSettingReader.ReadShow(cursor);
        if (cursor.Take("SET"))
            return SqlSettingReader.ReadSet(cursor);
        if (cursor.Take("RESET"))
            return new SqlCommand.Reset(cursor.Take("ALL") ? null : SqlSettingReader.Name(cursor));
        if (cursor.Take("PREPARE") && !cursor.Sees("TRANSACTION"))
            return ReadPrepare(cursor);
        if (cursor.Take("EXECUTE"))
            return new SqlCommand.Execute(cursor.Name(), cursor.Sees("(") ? cursor.Parenthesised(out _) : "");
        if (cursor.Take("DEALLOCATE"))
        {
            cursor.Take("PREPARE");
            return new SqlCommand.Deallocate(cursor.Take("ALL") ? null : cursor.Name());
        }
        if (cursor.Take("DECLARE"))
            return ReadDeclare(cursor);
        if (cursor.SeesAny("FETCH", "MOVE"))
            return ReadFetch(cursor);
        if (cursor.Take("CLOSE"))
            return new SqlCommand.Close(cursor.Take("ALL") ? null : cursor.Name());
        if (cursor.Take("DISCARD"))
            return new SqlCommand.Discard(cursor.Name().ToUpperInvariant());
        if (cursor.Take("COPY"))
            return ReadCopy(cursor);
        if (cursor.Take("CREATE"))
            return ReadCreate(cursor);
        if (cursor.Take("DROP"))
            return ReadDrop(cursor);
        return cursor.Take("UNLISTEN") ? new SqlCommand.Nothing("UNLISTEN") : null;
    }

    private static SqlCommand? ReadTransaction(SqlCursor cursor)
    {
        if (cursor.Take("BEGIN") || cursor.Take("START", "TRANSACTION"))
        {
            // Isolation levels and READ ONLY change nothing: each transaction reads one snapshot of each table.
            if (cursor.Rest().Contains("READ WRITE", StringComparison.OrdinalIgnoreCase))
                return new SqlCommand.Refused("transactions are read-only", SqlStates.ReadOnlyTransaction, ReadOnlyHint);
            return new SqlCommand.Begin();
        }
        if (cursor.SeesAny("COMMIT", "END", "ROLLBACK", "ABORT"))
        {
            var commit = cursor.SeesAny("COMMIT", "END");
            cursor.Next();
            if (!cursor.Take("WORK"))
                cursor.Take("TRANSACTION");
            if (cursor.SeesAny("PREPARED", "TO"))
                return new SqlCommand.Refused("savepoints and two-phase commits are not supported", SqlStates.FeatureNotSupported);
            var chain = cursor.Take("AND", "CHAIN");
            if (cursor.Take("AND", "NO"))
                cursor.Expect("CHAIN");
            cursor.ExpectEnd();
            return new SqlCommand.End(commit, chain);
        }
        return cursor.SeesAny("SAVEPOINT", "RELEASE")
            ? new SqlCommand.Refused("savepoints are not supported", SqlStates.FeatureNotSupported)
            : null;
    }

    private static SqlCommand ReadExplain(SqlCursor cursor)
    {
        var analyze = false;
        if (cursor.Sees("("))
            analyze = cursor.Parenthesised(out _).Contains("ANALYZE", StringComparison.OrdinalIgnoreCase);
        else if (cursor.Take("ANALYZE"))
            analyze = true;
        cursor.Take("VERBOSE");
        if (!cursor.SeesAny("SELECT", "WITH", "VALUES", "TABLE", "FROM", "("))
            return new SqlCommand.Refused("only queries can be explained", SqlStates.FeatureNotSupported);
        return new SqlCommand.Query(cursor.Rest(), cursor.Position, analyze ? "EXPLAIN ANALYZE " : "EXPLAIN ", "EXPLAIN");
    }

    private static SqlCommand.Prepare ReadPrepare(SqlCursor cursor)
    {
        var name = cursor.Name();
        IReadOnlyList<string> types = cursor.Sees("(")
            ? cursor.Parenthesised(out _).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
            : [];
        cursor.Expect("AS");
        return new SqlCommand.Prepare(name, types, cursor.Rest(), cursor.Position);
    }

    private static SqlCommand ReadDeclare(SqlCursor cursor)
    {
        var name = cursor.Name();
        while (cursor.SeesAny("BINARY", "INSENSITIVE", "ASENSITIVE", "NO", "SCROLL"))
        {
            if (cursor.Sees("SCROLL") || cursor.Sees("BINARY"))
                return new SqlCommand.Refused("cursors go forward only, in text", SqlStates.FeatureNotSupported, "leave SCROLL and BINARY out");
            if (cursor.Take("NO"))
                cursor.Expect("SCROLL");
            else
                cursor.Next();
        }
        cursor.Expect("CURSOR");
        var hold = cursor.Take("WITH", "HOLD");
        if (hold || cursor.Take("WITHOUT", "HOLD"))
            cursor.Expect("FOR");
        else
            cursor.Expect("FOR");
        return new SqlCommand.Declare(name, new SqlCommand.Query(cursor.Rest(), cursor.Position), hold);
    }

    private static SqlCommand ReadFetch(SqlCursor cursor)
    {
        var move = cursor.Take("MOVE");
        if (!move)
            cursor.Expect("FETCH");
        long? count = 1;
        cursor.Take("FORWARD");
        if (cursor.Take("ALL"))
            count = null;
        else if (cursor.Take("NEXT"))
            count = 1;
        else if (cursor.SeesAny("PRIOR", "FIRST", "LAST", "ABSOLUTE", "RELATIVE", "BACKWARD", "-"))
            return new SqlCommand.Refused("cursors go forward only", SqlStates.FeatureNotSupported);
        else if (!cursor.AtEnd && cursor.Current.Kind == SqlTokenKind.Number)
            count = long.TryParse(cursor.Next().In(cursor.Sql), CultureInfo.InvariantCulture, out var number) ? number : throw cursor.Unexpected();
        if (!cursor.Take("FROM"))
            cursor.Take("IN");
        var name = cursor.Name();
        cursor.ExpectEnd();
        return new SqlCommand.Fetch(name, count, move);
    }

    private static SqlCommand ReadCopy(SqlCursor cursor)
    {
        SqlCommand.Query source;
        if (cursor.Sees("("))
        {
            var inner = cursor.Parenthesised(out var start);
            source = new SqlCommand.Query(inner, start);
        }
        else
        {
            // COPY table TO STDOUT reads TABLE-like: the name goes behind a SELECT, so the place shifts by that prefix.
            var start = cursor.Position;
            cursor.Name();
            while (cursor.Take("."))
                cursor.Name();
            if (cursor.Sees("("))
                return new SqlCommand.Refused("COPY of chosen columns is not supported", SqlStates.FeatureNotSupported, "write COPY (SELECT ...) TO STDOUT");
            source = new SqlCommand.Query("FROM " + cursor.Sql[start..cursor.Position].TrimEnd(), start - "FROM ".Length);
        }
        if (cursor.Sees("FROM"))
            return new SqlCommand.Refused("tables are read-only here", SqlStates.ReadOnlyTransaction, ReadOnlyHint);
        cursor.Expect("TO");
        if (!cursor.Take("STDOUT"))
            return new SqlCommand.Refused("COPY writes to STDOUT only", SqlStates.InsufficientPrivilege, "files of the server are out of reach; psql's \\copy writes files of the client");
        return new SqlCommand.Copy(source, ReadCopyFormat(cursor));
    }

    private static CopyFormat ReadCopyFormat(SqlCursor cursor)
    {
        cursor.Take("WITH");
        var parenthesised = cursor.Take("(");
        var (csv, header) = (false, false);
        char? delimiter = null;
        string? nulls = null;
        var quote = '"';
        while (!cursor.AtEnd && !cursor.Sees(")"))
        {
            var option = cursor.Name();
            switch (option)
            {
                case "format":
                    var format = cursor.Name();
                    csv = format == "csv";
                    if (format is not ("csv" or "text"))
                        throw new SqlException($"COPY format \"{format}\" is not supported", SqlStates.FeatureNotSupported, hint: "text and csv are");
                    break;
                case "csv":
                    csv = true;
                    break;
                case "header":
                    header = !cursor.Take("FALSE") && !cursor.Take("OFF");
                    if (!cursor.Take("TRUE"))
                        cursor.Take("ON");
                    break;
                case "delimiter" or "delimiters":
                    cursor.Take("AS");
                    delimiter = Single(cursor);
                    break;
                case "quote":
                    cursor.Take("AS");
                    quote = Single(cursor);
                    break;
                case "null":
                    cursor.Take("AS");
                    nulls = SqlSettingReader.Literal(cursor.Next().In(cursor.Sql).ToString());
                    break;
                case "encoding":
                    cursor.Next();
                    break;
                default:
                    throw new SqlException($"COPY option \"{option}\" is not supported", SqlStates.FeatureNotSupported);
            }
            if (parenthesised && !cursor.Sees(")"))
                cursor.Expect(",");
        }
        if (parenthesised)
            cursor.Expect(")");
        cursor.ExpectEnd();
        return new CopyFormat
        {
            Csv = csv, Header = header, Delimiter = delimiter ?? (csv ? ',' : '\t'), Null = nulls ?? (csv ? "" : "\\N"), Quote = quote,
        };
    }

    private static char Single(SqlCursor cursor)
    {
        var text = SqlSettingReader.Literal(cursor.Next().In(cursor.Sql).ToString());
        return text.Length == 1 && text[0] < 128
            ? text[0]
            : throw new SqlException("COPY delimiter and quote must be a single one-byte character", SqlStates.InvalidParameterValue);
    }

    private static SqlCommand ReadCreate(SqlCursor cursor)
    {
        var replace = cursor.Take("OR", "REPLACE");
        if (!cursor.Take("TEMP") && !cursor.Take("TEMPORARY"))
            return ReadRefused(cursor);
        if (!cursor.Take("TABLE"))
            return new SqlCommand.Refused("of temporary objects only tables can be created", SqlStates.FeatureNotSupported, ReadOnlyHint);
        var ifNotExists = false;
        if (cursor.Take("IF", "NOT"))
        {
            cursor.Expect("EXISTS");
            ifNotExists = true;
        }
        var name = cursor.Name();
        if (!cursor.Take("AS"))
            return new SqlCommand.Refused("temporary tables are made from a query", SqlStates.FeatureNotSupported, "write CREATE TEMP TABLE name AS SELECT ...");
        return new SqlCommand.CreateTemp(name, new SqlCommand.Query(cursor.Rest(), cursor.Position), replace, ifNotExists);
    }

    private static SqlCommand ReadDrop(SqlCursor cursor)
    {
        if (!cursor.Take("TABLE"))
            return ReadRefused(cursor);
        var ifExists = cursor.Take("IF", "EXISTS");
        var name = cursor.Name();
        return cursor.AtEnd ? new SqlCommand.DropTemp(name, ifExists) : ReadRefused(cursor);
    }

    private static SqlCommand.Refused ReadRefused(SqlCursor cursor)
    {
        var word = cursor.Tokens[0].In(cursor.Sql).ToString().ToUpperInvariant();
        return word switch
        {
            "INSERT" or "UPDATE" or "DELETE" or "MERGE" or "TRUNCATE" or "CREATE" or "DROP" or "ALTER" or "COMMENT" or "GRANT" or "REVOKE"
                or "VACUUM" or "ANALYZE" or "REINDEX" or "CLUSTER" or "REFRESH" or "LOCK" =>
                new SqlCommand.Refused($"cannot execute {word} in a read-only transaction", SqlStates.ReadOnlyTransaction, ReadOnlyHint),
            "ATTACH" or "DETACH" or "INSTALL" or "LOAD" or "PRAGMA" or "EXPORT" or "IMPORT" or "USE" or "CHECKPOINT" or "CALL" or "FORCE" =>
                new SqlCommand.Refused($"{word} is not allowed", SqlStates.InsufficientPrivilege, "statements may read tables; files, extensions and the engine's settings are out of reach"),
            "PIVOT" or "UNPIVOT" => new SqlCommand.Refused($"{word} stands in a query", SqlStates.FeatureNotSupported, $"write SELECT * FROM ({word} ...)"),
            "LISTEN" or "NOTIFY" or "DO" or "SAVEPOINT" or "SECURITY" or "REASSIGN" or "IMPORT_FOREIGN" =>
                new SqlCommand.Refused($"{word} is not supported", SqlStates.FeatureNotSupported),
            _ => new SqlCommand.Refused($"syntax error at or near \"{cursor.Tokens[0].In(cursor.Sql)}\"", SqlStates.SyntaxError),
        };
    }
}
