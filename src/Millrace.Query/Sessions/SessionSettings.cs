using System.Globalization;

namespace Millrace.Query.Sessions;

/// <summary>The run-time parameters of a session, as SET and SHOW know them. Not thread-safe.</summary>
internal sealed class SessionSettings
{
    /// <summary>What is told to the client at the start and whenever it changes (PostgreSQL, ParameterStatus).</summary>
    public static readonly IReadOnlyList<string> Reported =
    [
        "server_version", "server_encoding", "client_encoding", "application_name", "is_superuser", "session_authorization", "DateStyle",
        "IntervalStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings", "default_transaction_read_only", "in_hot_standby",
    ];

    public static readonly IReadOnlyDictionary<string, string> Defaults = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase)
    {
        ["server_version"] = $"{PgCatalog.SystemCatalog.ServerVersion} (Millrace)",
        ["server_version_num"] = "150000",
        ["server_encoding"] = "UTF8",
        ["client_encoding"] = "UTF8",
        ["application_name"] = "",
        ["is_superuser"] = "off",
        ["session_authorization"] = "",
        ["DateStyle"] = "ISO, MDY",
        ["IntervalStyle"] = "postgres",
        ["TimeZone"] = "UTC",
        ["integer_datetimes"] = "on",
        ["standard_conforming_strings"] = "on",
        ["default_transaction_read_only"] = "on",
        ["in_hot_standby"] = "off",
        ["transaction_read_only"] = "on",
        ["transaction_isolation"] = "repeatable read",
        ["default_transaction_isolation"] = "repeatable read",
        ["transaction_deferrable"] = "off",
        ["default_transaction_deferrable"] = "off",
        ["search_path"] = "\"$user\", public",
        ["statement_timeout"] = "0",
        ["lock_timeout"] = "0",
        ["idle_in_transaction_session_timeout"] = "0",
        ["idle_session_timeout"] = "0",
        ["extra_float_digits"] = "1",
        ["bytea_output"] = "hex",
        ["client_min_messages"] = "notice",
        ["max_identifier_length"] = "63",
        ["max_index_keys"] = "32",
        ["escape_string_warning"] = "on",
        ["backslash_quote"] = "safe_encoding",
        ["quote_all_identifiers"] = "off",
        ["row_security"] = "on",
        ["synchronize_seqscans"] = "on",
        ["ssl"] = "off",
        ["jit"] = "off",
        ["geqo"] = "on",
        ["xmloption"] = "content",
        ["lc_collate"] = "C",
        ["lc_ctype"] = "C",
        ["lc_messages"] = "C",
        ["lc_monetary"] = "C",
        ["lc_numeric"] = "C",
        ["lc_time"] = "C",
        ["password_encryption"] = "scram-sha-256",
        ["work_mem"] = "4MB",
    };

    private static readonly HashSet<string> ReadOnly = new(StringComparer.OrdinalIgnoreCase)
    {
        "server_version", "server_version_num", "server_encoding", "is_superuser", "integer_datetimes", "in_hot_standby", "max_identifier_length",
        "max_index_keys", "ssl", "lc_collate", "lc_ctype",
    };

    private readonly Dictionary<string, string> _values = new(Defaults, StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, string> _starting = new(StringComparer.OrdinalIgnoreCase);
    private Dictionary<string, string>? _atBegin;
    private readonly Dictionary<string, string> _local = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>A reported setting's name as written in <see cref="Reported"/> and its new value.</summary>
    public event Action<string, string>? Changed;

    /// <summary>Raised for each change before it is made; throwing refuses it.</summary>
    public event Action<string, string>? Changing;

    public TimeZoneInfo Zone { get; private set; } = TimeZoneInfo.Utc;

    public IEnumerable<KeyValuePair<string, string>> All => _values.OrderBy(v => v.Key, StringComparer.OrdinalIgnoreCase);

    public string this[string name] => _values[name];

    /// <summary>Schemas in which names without schema are looked up first.</summary>
    public IReadOnlyList<string> SearchPath { get; private set; } = [];

    /// <summary>Zero for the server's own limit.</summary>
    public TimeSpan StatementTimeout { get; private set; }

    public string Show(string name) => _values.TryGetValue(name, out var value)
        ? value
        : throw new SqlException($"unrecognized configuration parameter \"{name}\"", SqlStates.UndefinedObject);

    /// <summary>What the connection was opened with: RESET goes back to it.</summary>
    public void Start(string name, string value)
    {
        Set(name, value, local: false);
        _starting[name] = _values[name];
    }

    /// <param name="name">In any case.</param>
    /// <param name="value">Null for the default.</param>
    /// <param name="local">Until the transaction ends.</param>
    /// <exception cref="SqlException">There is no such setting, or it does not take that value.</exception>
    public void Set(string name, string? value, bool local)
    {
        if (!_values.TryGetValue(name, out var old))
        {
            if (!name.Contains('.', StringComparison.Ordinal))
                throw new SqlException($"unrecognized configuration parameter \"{name}\"", SqlStates.UndefinedObject);
            old = "";
        }
        if (ReadOnly.Contains(name))
            throw new SqlException($"parameter \"{name}\" cannot be changed", "55P02");
        value ??= _starting.GetValueOrDefault(name) ?? Defaults.GetValueOrDefault(name, "");
        Assign(name, Check(name, value));
        if (local)
            _local.TryAdd(name, old);
        else
            _local.Remove(name);
    }

    public void ResetAll()
    {
        foreach (var name in _values.Keys.Where(n => !ReadOnly.Contains(n)).ToArray())
            Set(name, null, local: false);
    }

    public void BeginTransaction() => _atBegin = new Dictionary<string, string>(_values, StringComparer.OrdinalIgnoreCase);

    public void EndTransaction(bool commit)
    {
        var back = commit ? _local.ToArray() : _atBegin?.Where(v => _values[v.Key] != v.Value).ToArray() ?? [];
        foreach (var (name, value) in back)
            Assign(name, value);
        _local.Clear();
        _atBegin = null;
    }

    private void Assign(string name, string value)
    {
        Changing?.Invoke(name, value);
        _values[name] = value;
        switch (name.ToLowerInvariant())
        {
            case "timezone":
                Zone = FindZone(value)!;
                break;
            case "search_path":
                SearchPath = value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(s => s.Trim('"'))
                    .Where(s => s is not ("$user" or "public" or "pg_catalog")).ToArray();
                break;
            case "statement_timeout":
                StatementTimeout = Duration(value)!.Value;
                break;
        }
        foreach (var reported in Reported)
        {
            if (reported.Equals(name, StringComparison.OrdinalIgnoreCase))
                Changed?.Invoke(reported, value);
        }
    }

    private static string Check(string name, string value)
    {
        switch (name.ToLowerInvariant())
        {
            case "timezone":
                return FindZone(value) is { } zone ? zone.Id : throw Invalid();
            case "client_encoding":
                return value.Trim().Replace("-", "", StringComparison.Ordinal).ToUpperInvariant() is "UTF8" or "UNICODE" or "SQL_ASCII"
                    ? "UTF8"
                    : throw new SqlException($"conversion between {value} and UTF8 is not supported", SqlStates.FeatureNotSupported, hint: "use UTF8");
            case "datestyle":
                return value.Contains("ISO", StringComparison.OrdinalIgnoreCase) || value.Trim().ToUpperInvariant() is "MDY" or "YMD" or "DMY" or "DEFAULT"
                    ? "ISO, MDY"
                    : throw new SqlException($"DateStyle {value} is not supported", SqlStates.FeatureNotSupported, hint: "use ISO");
            case "intervalstyle":
                return value.Equals("postgres", StringComparison.OrdinalIgnoreCase)
                    ? "postgres"
                    : throw new SqlException($"IntervalStyle {value} is not supported", SqlStates.FeatureNotSupported, hint: "use postgres");
            case "standard_conforming_strings":
                return value.ToLowerInvariant() is "on" or "true" or "1" ? "on" : throw Invalid();
            case "bytea_output":
                return value.Equals("hex", StringComparison.OrdinalIgnoreCase) ? "hex" : throw Invalid();
            case "default_transaction_read_only" or "transaction_read_only":
                return value.ToLowerInvariant() is "on" or "true" or "1" or "yes"
                    ? "on"
                    : throw new SqlException("transactions are read-only", SqlStates.ReadOnlyTransaction);
            case "statement_timeout" or "lock_timeout" or "idle_in_transaction_session_timeout" or "idle_session_timeout":
                return Duration(value) is null ? throw Invalid() : value;
            default:
                return value.Length <= 1024 ? value : throw Invalid();
        }

        SqlException Invalid() => new(
            $"invalid value for parameter \"{name}\": \"{(value.Length > 80 ? value[..80] : value)}\"", SqlStates.InvalidParameterValue);
    }

    /// <summary>An IANA name, <c>UTC</c>, or hours east of UTC.</summary>
    private static TimeZoneInfo? FindZone(string value)
    {
        value = value.Trim();
        if (value.ToUpperInvariant() is "UTC" or "GMT" or "Z" or "ZULU" or "ETC/UTC" or "DEFAULT" or "LOCAL")
            return TimeZoneInfo.Utc;
        if (double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out var hours))
        {
            return hours is > -14 and < 14 && hours == Math.Floor(hours)
                ? hours == 0 ? TimeZoneInfo.Utc : Find(string.Create(CultureInfo.InvariantCulture, $"Etc/GMT{(hours > 0 ? "-" : "+")}{Math.Abs(hours)}"))
                : null;
        }
        return value.Length is > 0 and < 64 ? Find(value) : null;

        static TimeZoneInfo? Find(string id) => TimeZoneInfo.TryFindSystemTimeZoneById(id, out var zone) ? zone : null;
    }

    /// <summary>Milliseconds, or a number with a unit.</summary>
    private static TimeSpan? Duration(string value)
    {
        value = value.Trim();
        var digits = value.AsSpan().IndexOfAnyExceptInRange('0', '9');
        var number = digits < 0 ? value : value[..digits];
        if (!long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count > int.MaxValue)
            return null;
        return (digits < 0 ? "" : value[digits..].Trim()) switch
        {
            "" or "ms" => TimeSpan.FromMilliseconds(count),
            "s" => TimeSpan.FromSeconds(count),
            "min" => TimeSpan.FromMinutes(count),
            "h" => TimeSpan.FromHours(count),
            "d" => TimeSpan.FromDays(Math.Min(count, 365)),
            _ => null,
        };
    }
}
