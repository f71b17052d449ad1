using System.Globalization;
using System.Text.RegularExpressions;

namespace Millrace.Simulation.Linearizability;

/// <summary>Reads the histories that other checkers are tested with.</summary>
internal static partial class HistoryFiles
{
    /// <summary>Jepsen's log of one register: a failed swap has seen another value, an :info never returned.</summary>
    public static List<Operation<RegisterInput, RegisterOutput>> ReadJepsenLog(string path)
    {
        var events = File.ReadLines(path).Select(l => JepsenLine().Match(l)).Where(m => m.Success).Select(m => (
            Process: int.Parse(m.Groups[1].Value, CultureInfo.InvariantCulture), Type: m.Groups[2].Value, Action: m.Groups[3].Value,
            Value: m.Groups[4].Value.Trim()));
        return Pair(events, failedSwapIsSeen: true);
    }

    /// <summary>Knossos's lists of maps: what failed did not happen.</summary>
    public static List<Operation<RegisterInput, RegisterOutput>> ReadEdn(string path)
    {
        var events = EdnMap().Matches(File.ReadAllText(path)).Where(m => EdnProcess().IsMatch(m.Value)).Select(m => (
            Process: int.Parse(EdnProcess().Match(m.Value).Groups[1].Value, CultureInfo.InvariantCulture),
            Type: EdnType().Match(m.Value).Groups[1].Value, Action: EdnAction().Match(m.Value).Groups[1].Value,
            Value: EdnValue().Match(m.Value).Groups[1].Value));
        return Pair(events, failedSwapIsSeen: false);
    }

    public static List<Operation<TextInput, string>> ReadTexts(string path)
    {
        var operations = new List<Operation<TextInput, string>>();
        var open = new Dictionary<int, (long Call, TextInput Input, string Key)>();
        long time = 0;
        foreach (var line in File.ReadLines(path))
        {
            var process = int.Parse(EdnProcess().Match(line).Groups[1].Value, CultureInfo.InvariantCulture);
            var key = TextKey().Match(line).Groups[1].Value;
            var value = TextValue().Match(line).Groups[1].Value;
            time++;
            if (EdnType().Match(line).Groups[1].Value == "invoke")
            {
                open[process] = (time, new TextInput(EdnAction().Match(line).Groups[1].Value, value), key);
                continue;
            }
            open.Remove(process, out var call);
            operations.Add(new(process, call.Key, call.Input, value, call.Call, time));
        }
        foreach (var (process, call) in open.Where(o => o.Value.Input.Action != "get"))
            operations.Add(new(process, call.Key, call.Input, "", call.Call, long.MaxValue));
        return operations;
    }

    private static List<Operation<RegisterInput, RegisterOutput>> Pair(
        IEnumerable<(int Process, string Type, string Action, string Value)> events, bool failedSwapIsSeen)
    {
        var operations = new List<Operation<RegisterInput, RegisterOutput>>();
        var open = new Dictionary<int, (long Call, RegisterInput Input)>();
        long time = 0;
        foreach (var (process, type, action, value) in events)
        {
            time++;
            if (type == "invoke")
            {
                open[process] = (time, InputOf(action, value));
                continue;
            }
            if (!open.TryGetValue(process, out var call) || type == "info")
                continue;
            open.Remove(process);
            if (type == "fail" && !(failedSwapIsSeen && action == "cas"))
                continue;
            var output = new RegisterOutput(false, type == "ok", action == "read" ? ValueOf(value) : null);
            operations.Add(new(process, "", call.Input, output, call.Call, time));
        }
        foreach (var (process, call) in open.Where(o => o.Value.Input.Action != RegisterAction.Read))
            operations.Add(new(process, "", call.Input, new RegisterOutput(true, false, null), call.Call, long.MaxValue));
        return operations;
    }

    private static RegisterInput InputOf(string action, string value)
    {
        switch (action)
        {
            case "read":
                return new RegisterInput(RegisterAction.Read, null, null);
            case "write":
                return new RegisterInput(RegisterAction.Write, null, ValueOf(value));
            default:
                var parts = value.Trim('[', ']').Split(' ', StringSplitOptions.RemoveEmptyEntries);
                return new RegisterInput(RegisterAction.Swap, ValueOf(parts[0]), ValueOf(parts[1]));
        }
    }

    private static int? ValueOf(string text) => text == "nil" ? null : int.Parse(text, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"(\d+)\s+:(invoke|ok|fail|info)\s+:(read|write|cas)\s+(.*)$")]
    private static partial Regex JepsenLine();

    [GeneratedRegex(@"\{[^{}]*\}")]
    private static partial Regex EdnMap();

    [GeneratedRegex(@":process (\d+)")]
    private static partial Regex EdnProcess();

    [GeneratedRegex(@":type :(\w+)")]
    private static partial Regex EdnType();

    [GeneratedRegex(@":f :(\w+)")]
    private static partial Regex EdnAction();

    [GeneratedRegex(@":value (\[[^\]]*\]|[\w-]+)")]
    private static partial Regex EdnValue();

    [GeneratedRegex("""
        :key "([^"]*)"
        """)]
    private static partial Regex TextKey();

    [GeneratedRegex("""
        :value "([^"]*)"
        """)]
    private static partial Regex TextValue();
}
