using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Http;

internal sealed class SessionRoutes(ConsoleServices services)
{
    private const string Tag = "sessions";
    private const long MostSeconds = 10L * 366 * 24 * 3600;

    private static readonly TextParameter Key = new("key", ParameterPlace.Path, "the session's key");
    private static readonly IntegerParameter Read = new("read", ParameterPlace.Query, "copies that the read waits for; 0: as the group is set", 0, 0, 7);
    private static readonly IntegerParameter Write = new("write", ParameterPlace.Query, "copies that the write waits for; 0: as the group is set", 0, 0, 7);
    private static readonly Answer TooFew = Answer.Problem(503, "fewer copies answered in time; a read may find such a write or not");

    public IReadOnlyList<Route> All() => services.Sessions is not { } sessions ? [] :
    [
        new("GET", "/api/sessions", Tag, "getSessions", "Sessions by quorums: how they are set, and what this member did")
        {
            Answers = [new(200, "as this process's member has them", Type: ConsoleJson.Relaxed.SessionsInfo)],
            Serve = context => Replies.JsonAsync(context, sessions.Status(), ConsoleJson.Relaxed.SessionsInfo),
        },
        new("GET", "/api/sessions/{key}", Tag, "getSession", "Read a session from R of its N copies")
        {
            Parameters = [Key, Read],
            Answers = [new(200, "the newest of the copies", Type: ConsoleJson.Relaxed.SessionInfo), Answer.Problem(404, "no such session"), TooFew],
            Serve = async context =>
            {
                var key = Key.Read(context);
                var found = await sessions.GetAsync(key, Count(Read.Read(context)))
                    ?? throw new ConsoleException(404, "No such session", $"there is no session '{key}'", "it was never put, or is deleted or expired");
                await Replies.JsonAsync(context, found, ConsoleJson.Relaxed.SessionInfo);
            },
        },
        new("PUT", "/api/sessions/{key}", Tag, "putSession", "Write a session to W of its N copies")
        {
            Parameters = [Key, Write],
            Body = new("the value, and how long it stays", ["application/json"], ConsoleJson.Relaxed.SessionRequest, """{"value": "{\"cart\": [4711]}", "ttlSeconds": 1800}"""),
            Answers = [new(200, "on so many disks", Type: ConsoleJson.Relaxed.SessionWritten), Answer.Problem(400, "a key or number that cannot be"), TooFew],
            Serve = async context =>
            {
                var key = Key.Read(context);
                var wanted = await Replies.ReadJsonAsync(context, ConsoleJson.Relaxed.SessionRequest);
                if (wanted.TtlSeconds is <= 0 or > MostSeconds)
                    throw new ConsoleException(400, "Bad body", $"ttlSeconds must be from 1 to {MostSeconds}, not {wanted.TtlSeconds}", "leave it away for a session that stays");
                TimeSpan? ttl = wanted.TtlSeconds is { } seconds ? TimeSpan.FromSeconds(seconds) : null;
                var copies = await sessions.PutAsync(key, wanted.Value, ttl, Count(Write.Read(context)));
                await Replies.JsonAsync(context, new SessionWritten(key, copies), ConsoleJson.Relaxed.SessionWritten);
            },
        },
        new("DELETE", "/api/sessions/{key}", Tag, "deleteSession", "Delete a session on W of its N copies")
        {
            Parameters = [Key, Write],
            Answers = [new(200, "gone from so many disks, if it was there", Type: ConsoleJson.Relaxed.SessionWritten), TooFew],
            Serve = async context =>
            {
                var key = Key.Read(context);
                await Replies.JsonAsync(
                    context, new SessionWritten(key, await sessions.PutAsync(key, null, null, Count(Write.Read(context)))), ConsoleJson.Relaxed.SessionWritten);
            },
        },
    ];

    private static int? Count(long given) => given == 0 ? null : (int)given;
}
