using System.ComponentModel;

namespace Millrace.WebConsole.Wire;

public sealed record SessionInfo(
    string Key, string Value, DateTimeOffset WrittenAt, [property: Description("absent when it stays")] DateTimeOffset? ExpiresAt,
    [property: Description("that answered the read")] int Copies);

public sealed record SessionRequest(
    [property: Description("text; JSON for one")] string Value, [property: Description("gone after so many seconds; absent: never")] long? TtlSeconds = null);

public sealed record SessionWritten(string Key, [property: Description("that had it when it was acknowledged")] int Copies);

/// <param name="Puts">taken from clients by this member since it started</param>
/// <param name="Gets">taken from clients by this member since it started</param>
public sealed record SessionsInfo(
    [property: Description("N")] int Copies, [property: Description("W")] int Write, [property: Description("R")] int Read, long Puts, long Gets,
    [property: Description("copies found old by reads, and given the newest")] long Repairs,
    [property: Description("hints handed over to members that were away")] long Handoffs,
    [property: Description("copies and hints that went to this member's disk")] long Written, [property: Description("of the disk")] long Flushes,
    [property: Description("hints that wait here for other members")] long HintsWaiting,
    [property: Description("how many for whom")] IReadOnlyList<SessionHintsInfo> Hints,
    [property: Description("why sessions on this member have stopped; absent while they have not")] string? Failure);

public sealed record SessionHintsInfo([property: Description("its id, in hex")] string Member, [property: Description("counted up to 10,000")] long Count);
