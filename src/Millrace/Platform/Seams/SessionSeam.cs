using System.Globalization;
using System.Text;
using Millrace.Coordination.Client;
using Millrace.Coordination.Node;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.Host.Platform.Seams;

/// <summary>Sessions through the coordination store's member of this process.</summary>
internal sealed class SessionSeam(CoordinationNode node) : ISessions
{
    public async Task<SessionInfo?> GetAsync(string key, int? read)
    {
        try
        {
            var outcome = await node.GetSessionAsync(key, read);
            return outcome.Version is not { } version ? null : new SessionInfo(
                key, Encoding.UTF8.GetString(version.Value!.Value.Span), DateTimeOffset.FromUnixTimeMilliseconds(version.Time.Millis),
                version.ExpiresAtMillis > 0 ? DateTimeOffset.FromUnixTimeMilliseconds(version.ExpiresAtMillis) : null, outcome.Answers);
        }
        catch (CoordinationException error)
        {
            throw Refusal(error);
        }
    }

    public async Task<int> PutAsync(string key, string? value, TimeSpan? ttl, int? write)
    {
        try
        {
            return (await node.PutSessionAsync(key, value is null ? (ReadOnlyMemory<byte>?)null : Encoding.UTF8.GetBytes(value), ttl, write)).Answers;
        }
        catch (CoordinationException error)
        {
            throw Refusal(error);
        }
    }

    public SessionsInfo Status()
    {
        var status = node.SessionStatus;
        return new SessionsInfo(
            status.Quorum.Copies, status.Quorum.Write, status.Quorum.Read, status.Puts, status.Gets, status.Repairs, status.Handoffs, status.Written, status.Flushes,
            status.Hints.Sum(static h => (long)h.Count), [.. status.Hints.Select(static h => new SessionHintsInfo(h.Member.ToString("x", CultureInfo.InvariantCulture), h.Count))],
            status.Failure);
    }

    private static ConsoleException Refusal(CoordinationException error) => error.Code switch
    {
        3 => new ConsoleException(400, "Bad parameter", error.Message),
        7 => new ConsoleException(403, "Users are on", error.Message, "./millrace session, or any gRPC client with a token"),
        _ => new ConsoleException(503, "Too few copies", error.Message, "see: ./millrace cluster status"),
    };
}
