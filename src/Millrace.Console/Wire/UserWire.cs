using Millrace.WebConsole.Seams;

namespace Millrace.WebConsole.Wire;

public sealed record UserList(IReadOnlyList<UserInfo> Users);

public sealed record UserRequest(string Name, string Password)
{
    public override string ToString() => Name;
}
