namespace Millrace.Query.Text;

/// <summary>SET and SHOW, which PostgreSQL spells in many ways.</summary>
internal static class SqlSettingReader
{
    private const string Relations = "SELECT table_schema AS schema, table_name AS name, table_type AS type FROM information_schema.tables";

    public static SqlCommand ReadSet(SqlCursor cursor)
    {
        var local = cursor.Take("LOCAL");
        if (!local)
            cursor.Take("SESSION");
        if (cursor.Take("CHARACTERISTICS") || cursor.Take("TRANSACTION"))
            return new SqlCommand.Nothing("SET");
        if (cursor.Take("TIME", "ZONE"))
            return new SqlCommand.Set("timezone", cursor.Take("LOCAL") ? null : Value(cursor), local);
        if (cursor.Take("NAMES"))
            return new SqlCommand.Set("client_encoding", cursor.AtEnd ? null : Value(cursor), local);
        if (cursor.Take("AUTHORIZATION") || cursor.Sees("ROLE"))
            return cursor.Rest().Contains("DEFAULT", StringComparison.OrdinalIgnoreCase) || cursor.Rest().Contains("NONE", StringComparison.OrdinalIgnoreCase)
                ? new SqlCommand.Nothing("SET")
                : new SqlCommand.Refused("roles are not supported", SqlStates.FeatureNotSupported);
        var name = Name(cursor);
        if (!cursor.Take("TO"))
            cursor.Expect("=");
        return new SqlCommand.Set(name, Value(cursor), local);
    }

    public static SqlCommand ReadShow(SqlCursor cursor)
    {
        if (cursor.Take("ALL"))
        {
            return cursor.Take("TABLES")
                ? new SqlCommand.Query(Relations + " ORDER BY 1, 2", Tag: "SHOW")
                : new SqlCommand.Show(null);
        }
        if (cursor.Take("TABLES"))
        {
            return new SqlCommand.Query(
                Relations + " WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2", Tag: "SHOW");
        }
        if (cursor.Take("SCHEMAS"))
            return new SqlCommand.Query("SELECT schema_name AS name FROM information_schema.schemata ORDER BY 1", Tag: "SHOW");
        if (cursor.Take("DATABASES"))
            return new SqlCommand.Query("SELECT datname AS name FROM pg_catalog.pg_database ORDER BY 1", Tag: "SHOW");
        if (cursor.Take("TRANSACTION", "ISOLATION"))
        {
            cursor.Expect("LEVEL");
            return new SqlCommand.Show("transaction_isolation");
        }
        if (cursor.Take("TIME", "ZONE"))
            return new SqlCommand.Show("timezone");
        if (cursor.Take("SESSION", "AUTHORIZATION"))
            return new SqlCommand.Show("session_authorization");
        var name = Name(cursor);
        cursor.ExpectEnd();
        return new SqlCommand.Show(name);
    }

    /// <summary>A setting's name in lower case, dots kept.</summary>
    public static string Name(SqlCursor cursor)
    {
        var name = cursor.Name();
        while (cursor.Take("."))
            name += "." + cursor.Name();
        return name.ToLowerInvariant();
    }

    /// <summary>The text that a literal or a bare word stands for.</summary>
    public static string Literal(string token)
    {
        if (token.Length >= 2 && token[0] == '\'')
            return token[1..^1].Replace("''", "'", StringComparison.Ordinal);
        if (token.Length >= 3 && token[0] is 'e' or 'E' && token[1] == '\'')
        {
            return token[2..^1].Replace("''", "'", StringComparison.Ordinal).Replace("\\t", "\t", StringComparison.Ordinal)
                .Replace("\\n", "\n", StringComparison.Ordinal).Replace("\\\\", "\\", StringComparison.Ordinal);
        }
        return token.Length >= 2 && token[0] == '"' ? token[1..^1].Replace("\"\"", "\"", StringComparison.Ordinal) : token;
    }

    /// <summary>The rest as a value: items of a list are joined by a comma; null for DEFAULT.</summary>
    private static string? Value(SqlCursor cursor)
    {
        if (cursor.AtEnd)
            throw cursor.Unexpected();
        if (cursor.Take("DEFAULT"))
            return null;
        var items = new List<string>();
        var item = "";
        while (!cursor.AtEnd)
        {
            var token = cursor.Next();
            if (token.Is(cursor.Sql, ","))
            {
                items.Add(item);
                item = "";
                continue;
            }
            item += Literal(token.In(cursor.Sql).ToString());
        }
        items.Add(item);
        return string.Join(", ", items);
    }
}
