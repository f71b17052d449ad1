using Millrace.WebConsole.Seams;

namespace Millrace.Tests.WebConsole.Fakes;

internal sealed class FakeUsers : IUsers
{
    private readonly SortedDictionary<string, string> _passwords = new(StringComparer.Ordinal) { ["alice"] = "a" };

    public IReadOnlyList<UserInfo> List() => [.. _passwords.Keys.Select(n => new UserInfo(n, ["SCRAM-SHA-256", "SCRAM-SHA-512"]))];

    public bool Set(string name, string password)
    {
        if (string.IsNullOrEmpty(name) || string.IsNullOrEmpty(password))
            throw new ConsoleException(400, "Bad user", "a name and a password are needed");
        var isNew = !_passwords.ContainsKey(name);
        _passwords[name] = password;
        return isNew;
    }

    public bool Remove(string name) => _passwords.Remove(name);
}
