namespace Millrace.WebConsole.Seams;

/// <summary>Who may use the HTTP port: the users of the Kafka port.</summary>
public interface IAccess
{
    /// <summary>Who a name and password are, or null when they are wrong. Takes some milliseconds of a processor.</summary>
    Visitor? Check(string user, string password);

    /// <summary>Whether a visitor's user is still there with the same password.</summary>
    bool Holds(Visitor visitor);
}

/// <param name="MayAll">Whether it may use everything; else the schema registry alone.</param>
/// <param name="Login">What <see cref="IAccess.Holds"/> looks at.</param>
public sealed record Visitor(string User, bool MayAll, object Login);
