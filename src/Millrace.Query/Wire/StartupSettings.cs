namespace Millrace.Query.Wire;

/// <summary>The run-time parameters in a start-up message: those by name, and <c>-c name=value</c> in <c>options</c>.</summary>
internal static class StartupSettings
{
    public static List<(string Name, string Value)> Read(IReadOnlyDictionary<string, string> settings)
    {
        var read = new List<(string, string)>();
        foreach (var (name, value) in settings)
        {
            switch (name)
            {
                case "user" or "database" or "replication" or "application_name":
                    break;
                case "options":
                    ReadOptions(value, read);
                    break;
                default:
                    if (!name.StartsWith("_pq_.", StringComparison.Ordinal))
                        read.Add((name, value));
                    break;
            }
        }
        return read;
    }

    private static void ReadOptions(string options, List<(string, string)> read)
    {
        var words = options.Replace("\\ ", "\u0001", StringComparison.Ordinal).Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(w => w.Replace('\u0001', ' ')).ToArray();
        for (var i = 0; i < words.Length; i++)
        {
            string assignment;
            if (words[i] == "-c" && i + 1 < words.Length)
                assignment = words[++i];
            else if (words[i].StartsWith("--", StringComparison.Ordinal))
                assignment = words[i][2..].Replace('-', '_');
            else if (words[i].StartsWith("-c", StringComparison.Ordinal))
                assignment = words[i][2..];
            else
                throw new SqlException($"invalid command-line argument for server process: {words[i]}", SqlStates.SyntaxError);
            var equals = assignment.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0)
                throw new SqlException($"invalid command-line argument for server process: {assignment}", SqlStates.SyntaxError);
            read.Add((assignment[..equals], assignment[(equals + 1)..]));
        }
    }
}
