using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.Tests.WebConsole.Fakes;

internal sealed class FakeSessions : ISessions
{
    private readonly Dictionary<string, string> _values = [];

    public Task<SessionInfo?> GetAsync(string key, int? read) => Task.FromResult(
        _values.TryGetValue(key, out var value) ? new SessionInfo(key, value, DateTimeOffset.UnixEpoch, null, read ?? 2) : null);

    public Task<int> PutAsync(string key, string? value, TimeSpan? ttl, int? write)
    {
        if (write > 3)
            throw new ConsoleException(400, "Bad parameter", "write must be from 1 to copies (3)");
        if (value is null)
            _values.Remove(key);
        else
            _values[key] = ttl is null ? value : $"{value} for {ttl.Value.TotalSeconds} s";
        return Task.FromResult(write ?? 2);
    }

    public SessionsInfo Status() => new(3, 2, 2, _values.Count, 0, 4, 2, 9, 3, 5, [new SessionHintsInfo("c3", 5)], null);
}
