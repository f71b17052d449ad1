using System.Text.RegularExpressions;

namespace Millrace.Interop.Etcd;

/// <summary>One of the two servers, with what its answers gave to be used later.</summary>
internal sealed partial class ComparedSide(string program, string endpoint, string folder) : IAsyncDisposable
{
    private readonly EtcdctlRunner _ctl = new(program, endpoint);
    private readonly Dictionary<string, EtcdctlRunner.Streaming> _running = [];
    private readonly Dictionary<string, string> _kept = new() { ["folder"] = folder };

    public async Task PublishedAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (!(await _ctl.RunAsync("member list")).Output.Contains(endpoint, StringComparison.Ordinal))
            await Task.Delay(50, patience.Token);
    }

    public async Task<string> DoAsync(string step)
    {
        var words = step.Split(' ', 3);
        switch (words[0])
        {
            case "start":
                var (command, input) = Split(words[2]);
                _running[words[1]] = _ctl.Start(command, input);
                await Task.Delay(300); // Until it is registered; what is compared does not depend on it.
                return "";
            case "lines":
                return Normal(string.Join('\n', await _running[words[1]].ReadLinesAsync(int.Parse(words[2], null))));
            case "stop":
                _running.Remove(words[1], out var stopped);
                await stopped!.InterruptAsync();
                return "";
            case "keep":
                var (_, output, _) = await RunAsync(words[2]);
                _kept[words[1]] = LeaseId().Match(output).Groups[1].Value;
                return Normal(output);
            case "sorted":
                var (status, unsorted, complaint) = await RunAsync(step[7..]);
                var lines = Normal(unsorted + "\n" + Errors(complaint)).Split('\n').Order(StringComparer.Ordinal);
                return $"exit {status}\n{string.Join('\n', lines)}";
            case "ends":
                step = step[5..];
                break;
        }
        var (code, said, error) = await RunAsync(step);
        return $"exit {code}\n{Normal(said)}\n{Normal(Errors(error))}";
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var running in _running.Values)
            await running.DisposeAsync();
    }

    private Task<(int Code, string Output, string Error)> RunAsync(string step)
    {
        var (command, input) = Split(step);
        return _ctl.RunAsync(command, input);
    }

    private (string Command, string? Input) Split(string step)
    {
        foreach (var (name, value) in _kept)
            step = step.Replace("{" + name + "}", value, StringComparison.Ordinal);
        var parts = step.Split(" <<< ", 2);
        return (parts[0], parts.Length == 1 ? null : parts[1].Replace("\\n", "\n", StringComparison.Ordinal));
    }

    /// <summary>Of the client's own log only the server's error counts.</summary>
    private static string Errors(string text) => string.Join('\n', text.Split('\n').Select(line =>
        !line.StartsWith('{') ? line : LoggedError().Match(line) is { Success: true } match ? match.Groups[1].Value : "").Where(l => l.Length > 0));

    private string Normal(string text)
    {
        text = text.Replace(endpoint, "ENDPOINT", StringComparison.Ordinal).Replace(folder, "FOLDER", StringComparison.Ordinal);
        text = Numbers().Replace(text, "$1 N");
        text = TimeLeft().Replace(text, "$1 N");
        text = Versions().Replace(text, "VERSION");
        text = Ids().Replace(text, "ID");
        text = Times().Replace(text, "TIME");
        return Addresses().Replace(text, "ADDRESS").Trim();
    }

    [GeneratedRegex("lease ([0-9a-f]+) granted")]
    private static partial Regex LeaseId();

    [GeneratedRegex("\"error\":\"((?:[^\"\\\\]|\\\\.)*)\"")]
    private static partial Regex LoggedError();

    [GeneratedRegex("(\"(?:raft_?[a-z]*|db_?size[a-z_]*|hash|RaftTerm)\"\\s*:)\\s*\\d+", RegexOptions.IgnoreCase)]
    private static partial Regex Numbers();

    /// <summary>What a lease still has; the time that it was granted stands behind it and is compared.</summary>
    [GeneratedRegex("(\"ttl\"\\s*:)\\s*\\d+(?=\\s*,?\\s*\"granted)", RegexOptions.IgnoreCase)]
    private static partial Regex TimeLeft();

    [GeneratedRegex(@"\b3\.7\.\d+\b")]
    private static partial Regex Versions();

    [GeneratedRegex(@"\b(?:[0-9a-f]{12,16}|\d{14,20})\b")]
    private static partial Regex Ids();

    [GeneratedRegex(@"\b\d+(?:\.\d+)?(?:µs|ms|s)\b|hash""?: ?\d+|:\d{8,10}\b")]
    private static partial Regex Times();

    [GeneratedRegex(@"127\.0\.0\.1:\d+")]
    private static partial Regex Addresses();
}
