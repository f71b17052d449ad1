namespace Millrace.WebConsole.Seams;

/// <summary>Users of the Kafka port, as the console sees them.</summary>
public interface IUsers
{
    /// <summary>Names with the mechanisms that they can log in by.</summary>
    IReadOnlyList<UserInfo> List();

    /// <summary>Makes a user, or gives one another password; true when it is new.</summary>
    /// <exception cref="ConsoleException">The name or the password cannot be used.</exception>
    bool Set(string name, string password);

    /// <summary>False when there is no such user.</summary>
    bool Remove(string name);
}

public sealed record UserInfo(string Name, IReadOnlyList<string> Mechanisms);
