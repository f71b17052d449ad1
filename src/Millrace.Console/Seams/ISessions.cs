using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Seams;

/// <summary>Sessions by quorums on the coordination store's members. Refusals are <see cref="ConsoleException"/>.</summary>
public interface ISessions
{
    /// <summary>Null when there is none, or it is deleted or expired.</summary>
    Task<SessionInfo?> GetAsync(string key, int? read);

    /// <returns>Copies that had it when it was acknowledged.</returns>
    Task<int> PutAsync(string key, string? value, TimeSpan? ttl, int? write);

    SessionsInfo Status();
}
