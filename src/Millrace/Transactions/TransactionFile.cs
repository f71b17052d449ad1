using System.Text.Json;
using Millrace.Coordination.Client;
using Millrace.Coordination.Commitment;
using Millrace.Host.Settings;
using Millrace.Iceberg.Catalogs;
using Millrace.Storage.Files;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Millrace.Host.Transactions;

/// <summary>Where a transaction's participants are.</summary>
internal sealed record TransactionPlaces(IFileSystem Files, FolderCatalog Catalog, string Staging, CoordinationClient Store);

/// <summary>
/// A transaction as a file: a name, the protocol, and what it writes: rows into tables, keys of the coordination store. Rows are read once, when
/// the transaction is prepared; whoever resumes it does not need them.
/// </summary>
internal sealed record TransactionFile(string Name, CommitProtocol Protocol, IReadOnlyList<ITransactionParticipant> Participants)
{
    /// <exception cref="SettingsException">A fault, with its place.</exception>
    public static TransactionFile Parse(string yaml, string file, TransactionPlaces places)
    {
        var top = YamlMappings.Load(yaml, file, "begin with transaction: NAME and writes:");
        var root = YamlMappings.Mapping(top, file, "transaction", "protocol", "writes");
        var name = SettingsFile.Text(YamlMappings.Required(root, "transaction", top, file), file);
        var protocol = !root.TryGetValue("protocol", out var said) ? CommitProtocol.TwoPhase : SettingsFile.Text(said, file) switch
        {
            "two-phase" => CommitProtocol.TwoPhase,
            "three-phase" => CommitProtocol.ThreePhase,
            var text => throw SettingsFile.Fault(said, file, $"'{text}' is no protocol", "two-phase, or three-phase where the network never parts"),
        };
        if (YamlMappings.Required(root, "writes", top, file) is not YamlSequenceNode { Children.Count: > 0 } list)
            throw SettingsFile.Fault(root["writes"], file, "writes are a list of at least one write");
        var participants = new List<ITransactionParticipant>();
        var keys = new List<TransactionKey>();
        foreach (var node in list)
        {
            var write = YamlMappings.Mapping(node, file, "table", "rows", "file", "key", "value", "if");
            if (write.ContainsKey("table") == write.ContainsKey("key"))
                throw SettingsFile.Fault(node, file, "a write is of a table or of a key", "write table: NAME with rows: or file:, or key: NAME with value:");
            if (write.ContainsKey("key"))
                keys.Add(Key(write, node, file));
            else
                participants.Add(Table(write, node, file, places, participants.Count));
        }
        if (keys.Select(static k => k.Key).Distinct().Count() != keys.Count)
            throw SettingsFile.Fault(list, file, "a key is written twice");
        if (keys.Count > 60)
            throw SettingsFile.Fault(list, file, $"{keys.Count} keys are more than the 60 that one transaction may write");
        if (keys.Count > 0)
            participants.Add(new KeysParticipant("keys", places.Store, keys));
        return new TransactionFile(name, protocol, participants);
    }

    private static TransactionKey Key(Dictionary<string, YamlNode> write, YamlNode node, string file)
    {
        if (write.TryGetValue("if", out var condition) && SettingsFile.Text(condition, file) != "absent")
            throw SettingsFile.Fault(condition, file, $"'{SettingsFile.Text(condition, file)}' is no condition", "if: absent");
        return new TransactionKey(
            SettingsFile.Text(write["key"], file), write.TryGetValue("value", out var value) ? SettingsFile.Text(value, file) : null, condition is not null);
    }

    private static TableParticipant Table(Dictionary<string, YamlNode> write, YamlNode node, string file, TransactionPlaces places, int number)
    {
        var text = SettingsFile.Text(write["table"], file);
        var dot = text.LastIndexOf('.');
        if (dot <= 0 || dot == text.Length - 1)
            throw SettingsFile.Fault(write["table"], file, $"'{text}' is no table name", "write namespace.table");
        if (write.ContainsKey("rows") == write.ContainsKey("file"))
            throw SettingsFile.Fault(node, file, "a table's rows stand here or in a file", "write rows: with a list, or file: PATH");
        var source = write.TryGetValue("rows", out var rows)
            ? Rows(rows, file)
            : FileSource(write["file"], file);
        return new TableParticipant(
            $"table-{number}-{text}", places.Files, places.Catalog, places.Staging, new TableIdent(Namespace.Parse(text[..dot]), text[(dot + 1)..]), source);
    }

    /// <summary>Rows as JSON texts, which DuckDB gives columns and types.</summary>
    private static string Rows(YamlNode node, string file)
    {
        if (node is not YamlSequenceNode { Children.Count: > 0 } list)
            throw SettingsFile.Fault(node, file, "rows are a list of at least one row");
        var names = new List<string>();
        var values = new List<string>();
        foreach (var row in list)
        {
            if (row is not YamlMappingNode mapping)
                throw SettingsFile.Fault(row, file, "a row is a mapping of columns to values");
            var columns = mapping.Children.ToDictionary(c => SettingsFile.Text(c.Key, file), c => c.Value is YamlScalarNode { Value: { } v, Style: var style }
                ? v is "null" or "~" or "" && style == ScalarStyle.Plain ? "NULL" : $"'{v.Replace("'", "''", StringComparison.Ordinal)}'"
                : throw SettingsFile.Fault(c.Value, file, "a column has one value"));
            if (names.Count == 0)
                names.AddRange(columns.Keys);
            if (columns.Count != names.Count || !names.TrueForAll(columns.ContainsKey))
                throw SettingsFile.Fault(row, file, "all rows have the same columns: " + string.Join(", ", names));
            values.Add("(" + string.Join(", ", names.Select(n => columns[n])) + ")");
        }
        return $"(VALUES {string.Join(", ", values)}) AS t({string.Join(", ", names.Select(static n => '"' + n.Replace("\"", "\"\"", StringComparison.Ordinal) + '"'))})";
    }

    private static string FileSource(YamlNode node, string file)
    {
        var path = Path.GetFullPath(SettingsFile.Text(node, file));
        var reader = Path.GetExtension(path) switch
        {
            ".parquet" => "read_parquet",
            ".csv" => "read_csv",
            ".json" or ".jsonl" or ".ndjson" => "read_json_auto",
            var other => throw SettingsFile.Fault(node, file, $"rows come from .parquet, .csv or .json, not '{other}'"),
        };
        return $"{reader}('{path.Replace("'", "''", StringComparison.Ordinal)}')";
    }
}
